-- Under the write lock, after the namespace was not found.
INSERT INTO cache_room (digest, tenant, name) VALUES (?1, ?2, ?3) RETURNING id
