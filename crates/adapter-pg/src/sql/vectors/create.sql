-- One round trip: a function, since the statements behind its lock need newer snapshots than the lock's.
SELECT outcome, existing, one FROM hexmem.vector_create($1, $2, $3, $4, $5, $6, $7, $8, $9)
