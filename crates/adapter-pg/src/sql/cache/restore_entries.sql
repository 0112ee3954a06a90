-- Newer by version, then by time of change, replaces what is there; decided under the lock of the row. Each digest is given
-- once; in their order, so that two who do this do not wait for each other in a circle. $15 and $16 say where the tags of
-- an answer begin and end in the two lists.
INSERT INTO hexmem.cache_entries AS e (
    digest, room, tenant, namespace, fingerprint, version, modified_at, invalidation, remembered_until, tags,
    generations, stored_at, fresh_until, expires_at, meta, value
)
SELECT
    given.digest, given.room, given.tenant, given.namespace, given.fingerprint, given.version, given.modified_at,
    given.invalidation, given.remembered_until,
    CASE WHEN given.expires_at IS NOT NULL THEN ($17::text[])[given.first:given.last] END,
    CASE WHEN given.expires_at IS NOT NULL THEN ($18::uuid[])[given.first:given.last] END,
    given.stored_at, given.fresh_until, given.expires_at, given.meta, given.value
FROM unnest(
    $1::bytea[], $2::bytea[], $3::text[], $4::text[], $5::bytea[], $6::bigint[], $7::timestamptz[], $8::uuid[],
    $9::timestamptz[], $10::timestamptz[], $11::timestamptz[], $12::timestamptz[], $13::text[], $14::bytea[],
    $15::integer[], $16::integer[]
) AS given (
    digest, room, tenant, namespace, fingerprint, version, modified_at, invalidation, remembered_until,
    stored_at, fresh_until, expires_at, meta, value, first, last
)
ORDER BY given.digest
ON CONFLICT (digest) DO UPDATE SET
    version = excluded.version, modified_at = excluded.modified_at, invalidation = excluded.invalidation,
    remembered_until = excluded.remembered_until, tags = excluded.tags, generations = excluded.generations,
    stored_at = excluded.stored_at, fresh_until = excluded.fresh_until, expires_at = excluded.expires_at,
    meta = excluded.meta, value = excluded.value
WHERE (excluded.version, excluded.modified_at) > (e.version, e.modified_at)
RETURNING e.digest
