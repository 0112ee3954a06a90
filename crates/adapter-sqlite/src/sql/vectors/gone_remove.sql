-- Points that are back.
DELETE FROM vector_gone
WHERE collection = ?1 AND id IN (SELECT unhex(value) FROM json_each(?2))
