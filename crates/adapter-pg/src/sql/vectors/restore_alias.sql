-- Only over what is older; whether it was written tells the row that comes back.
WITH written AS (
    INSERT INTO hexmem.vector_aliases AS a (key_hash, tenant, name, version, modified_at, target, target_hash)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (key_hash) DO UPDATE SET
        version = excluded.version, modified_at = excluded.modified_at, target = excluded.target,
        target_hash = excluded.target_hash
    WHERE (excluded.version, excluded.modified_at) > (a.version, a.modified_at)
    RETURNING 1
)
SELECT EXISTS (SELECT FROM written)
