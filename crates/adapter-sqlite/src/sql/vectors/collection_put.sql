-- A life begins or ends: the numbers of its name go on, its points are gone.
INSERT INTO vector_collections
    (key_hash, tenant, name, version, modified_at, revision, spec, next_ord, points)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, 0)
ON CONFLICT (key_hash) DO UPDATE SET
    version = excluded.version, modified_at = excluded.modified_at,
    revision = max(vector_collections.revision, excluded.revision), spec = excluded.spec, points = 0
RETURNING id
