-- A block without a live vector.
DELETE FROM vector_dense WHERE collection = ?1 AND channel = ?2 AND first_ord = ?3
