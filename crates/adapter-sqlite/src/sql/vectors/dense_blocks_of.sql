-- The blocks that would hold some ords, without their vectors: those lie behind, and are not read.
SELECT j.value, d.first_ord, d.ords
FROM json_each(?3) AS j
CROSS JOIN vector_dense AS d
WHERE d.rowid = (
    SELECT b.rowid FROM vector_dense AS b
    WHERE b.collection = ?1 AND b.channel = ?2 AND b.first_ord <= j.value
    ORDER BY b.first_ord DESC
    LIMIT 1
)
