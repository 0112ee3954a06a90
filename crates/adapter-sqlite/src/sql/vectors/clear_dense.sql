-- All of a collection.
DELETE FROM vector_dense WHERE collection = ?1
