-- The row comes before the graph exists: a batch that changes nothing is remembered too.
INSERT INTO graph (digest, tenant, name, version, revision, log_start) VALUES (?1, ?2, ?3, 0, 0, 0) RETURNING id
