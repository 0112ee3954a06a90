-- After points were written or removed.
UPDATE vector_collections SET revision = ?2, next_ord = ?3, points = ?4 WHERE id = ?1
