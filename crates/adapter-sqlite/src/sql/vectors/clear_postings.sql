-- All of a collection.
DELETE FROM vector_postings WHERE collection = ?1
