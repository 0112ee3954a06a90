-- The block that grows, with how full it is.
SELECT first_ord, vectors FROM vector_dense
WHERE collection = ?1 AND channel = ?2
ORDER BY first_ord DESC
LIMIT 1
