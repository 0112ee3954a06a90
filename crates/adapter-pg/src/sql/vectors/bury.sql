-- A function: what a tombstone removes goes from all tables.
SELECT hexmem.vector_bury($1, $2, $3, $4)
