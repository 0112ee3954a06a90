-- On whose behalf an agent's session was started. No index: a chain is listed by its correlation id.

ALTER TABLE sessions ADD COLUMN parent BLOB;
