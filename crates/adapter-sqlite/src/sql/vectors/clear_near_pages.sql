-- All of a collection.
DELETE FROM vector_near_pages WHERE collection = ?1
