-- The next blocks of the walk. A block that was closed since then has a higher number: it comes later or comes twice.
SELECT l.list, l.chunk, l.block FROM hexmem.vector_lists l
WHERE l.collection = $1 AND (l.list, l.chunk) > ($2, $3)
ORDER BY l.list, l.chunk LIMIT $4
