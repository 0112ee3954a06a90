-- A new generation, made here or restored.
INSERT INTO cache_tag (digest, room, kind, name, generation, version, modified_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
ON CONFLICT (digest) DO UPDATE SET
    generation = excluded.generation, version = excluded.version, modified_at = excluded.modified_at
