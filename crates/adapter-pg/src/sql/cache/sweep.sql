-- One short transaction for each batch.
SELECT hexmem.cache_sweep($1, $2, $3, $4, $5)
