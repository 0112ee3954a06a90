-- A whole segment, to be merged; channel by channel, so that the index gives its rows.
SELECT channel, first_term, block FROM vector_postings
WHERE collection = ?1 AND channel = ?2 AND segment = ?3
ORDER BY first_term
