-- One call, one transaction: the function locks the namespace's counts first.
SELECT hexmem.cache_count($1, $2, $3, $4, $5)
