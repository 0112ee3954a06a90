-- The schema of a usable pgvector, if there is one.
SELECT hexmem.vector_extension()
