-- All of a collection.
DELETE FROM vector_near WHERE collection = ?1
