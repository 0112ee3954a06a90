-- Points that were found, by place. The rows of an ord never change: one that is missing has gone since.
SELECT p.ord, p.id, p.payload::text FROM hexmem.vector_points p WHERE p.collection = $1 AND p.ord = ANY ($2)
