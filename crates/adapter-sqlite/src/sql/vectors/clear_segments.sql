-- All of a collection.
DELETE FROM vector_segments WHERE collection = ?1
