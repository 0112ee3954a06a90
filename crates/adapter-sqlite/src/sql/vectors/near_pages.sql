-- A whole index, in the order in which it is put together.
SELECT part, page, block FROM vector_near_pages
WHERE collection = ?1 AND channel = ?2
ORDER BY part, page
