-- A step that clears what dropped collections left: a function, because it goes from table to table under one lock.
SELECT hexmem.vector_clear($1)
