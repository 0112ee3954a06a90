-- The aliases of a collection go with it.
UPDATE vector_aliases SET version = version + 1, modified_at = ?2, target = NULL, target_hash = NULL
WHERE target_hash = ?1
