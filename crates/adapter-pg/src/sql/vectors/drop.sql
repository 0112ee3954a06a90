-- A function: the name is locked before it is looked at.
SELECT hexmem.vector_drop($1)
