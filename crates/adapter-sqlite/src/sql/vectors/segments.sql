-- Runs in order of ords.
SELECT first_ord, end_ord, points, postings FROM vector_segments
WHERE collection = ?1
ORDER BY first_ord
