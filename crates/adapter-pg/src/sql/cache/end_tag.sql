-- One call, one transaction: the function locks the tag first and looks at what hangs on it then.
SELECT hexmem.cache_end_tag($1, $2, $3, $4, $5, $6, $7)
