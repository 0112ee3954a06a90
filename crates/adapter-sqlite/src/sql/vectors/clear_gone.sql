-- All of a collection.
DELETE FROM vector_gone WHERE collection = ?1
