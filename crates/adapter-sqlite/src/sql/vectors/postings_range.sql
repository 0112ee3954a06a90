-- The blocks that can hold terms within a range: from the last that starts at or before it.
SELECT s.first_ord, b.first_term, b.block
FROM vector_segments AS s
CROSS JOIN vector_postings AS b
WHERE s.collection = ?1 AND b.collection = ?1 AND b.channel = ?2 AND b.segment = s.first_ord
    AND b.first_term >= coalesce(
        (
            SELECT max(p.first_term) FROM vector_postings AS p
            WHERE p.collection = ?1 AND p.channel = ?2 AND p.segment = s.first_ord
                AND p.first_term <= ?3
        ),
        ?3
    )
    AND b.first_term <= ?4
