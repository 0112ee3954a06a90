-- The whole row: a removed alias stays as a tombstone.
INSERT INTO vector_aliases (key_hash, tenant, name, version, modified_at, target, target_hash)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
ON CONFLICT (key_hash) DO UPDATE SET
    version = excluded.version, modified_at = excluded.modified_at,
    target = excluded.target, target_hash = excluded.target_hash
