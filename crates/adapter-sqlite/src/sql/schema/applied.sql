-- Committed with the step itself.
INSERT INTO hexmem_schema (version, name, applied_at, sha256) VALUES (?1, ?2, ?3, ?4)
