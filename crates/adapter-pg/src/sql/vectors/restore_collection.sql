-- A function: what is there is compared and replaced under its lock.
SELECT hexmem.vector_restore_collection($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
