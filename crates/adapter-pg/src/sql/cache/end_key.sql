-- One call, one transaction: the function locks the key first and looks at its answer then.
SELECT hexmem.cache_end_key($1, $2, $3, $4, $5, $6, $7)
