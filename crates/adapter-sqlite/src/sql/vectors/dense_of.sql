-- The block that would hold an ord.
SELECT first_ord, ords, block FROM vector_dense
WHERE collection = ?1 AND channel = ?2 AND first_ord <= ?3
ORDER BY first_ord DESC
LIMIT 1
