-- A tombstone that was restored.
INSERT INTO vector_gone (collection, id, version, deleted_at) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (collection, id) DO UPDATE SET
    version = excluded.version, deleted_at = excluded.deleted_at
