-- What was changed after the version at hand; sorted by the caller, since sorting here would copy fat rows.
SELECT part, page, block FROM vector_near_pages
WHERE collection = ?1 AND channel = ?2 AND version > ?3
