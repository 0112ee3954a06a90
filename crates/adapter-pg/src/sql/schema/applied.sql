-- Notes a step in the transaction that applied it.
INSERT INTO hexmem.schema_steps (version, name, sha256, applied_at) VALUES ($1, $2, $3, clock_timestamp())
