-- All of a collection.
DELETE FROM vector_live WHERE collection = ?1
