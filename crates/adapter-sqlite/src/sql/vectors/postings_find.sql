-- The block that would hold each term in each segment: the last that starts at or before it.
SELECT j.value AS term, s.first_ord, b.first_term, b.block
FROM json_each(?3) AS j
CROSS JOIN vector_segments AS s
CROSS JOIN vector_postings AS b
WHERE s.collection = ?1
    AND b.rowid = (
        SELECT p.rowid FROM vector_postings AS p
        WHERE p.collection = ?1 AND p.channel = ?2 AND p.segment = s.first_ord
            AND p.first_term <= j.value
        ORDER BY p.first_term DESC
        LIMIT 1
    )
