-- A function: the collection's row is locked first, and what is replaced is seen by statements newer than the lock.
SELECT hexmem.vector_write($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
