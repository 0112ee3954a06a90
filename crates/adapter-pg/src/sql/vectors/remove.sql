-- A function: the collection's row is locked first, and tombstones take its next version.
SELECT one, removed, dead, held FROM hexmem.vector_remove($1, $2, $3, $4)
