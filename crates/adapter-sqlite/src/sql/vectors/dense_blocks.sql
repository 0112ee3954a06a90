-- Which blocks there are, as one row.
SELECT coalesce(json_group_array(json_array(first_ord, vectors)), '[]') FROM (
    SELECT first_ord, vectors FROM vector_dense
    WHERE collection = ?1 AND channel = ?2
    ORDER BY first_ord
)
