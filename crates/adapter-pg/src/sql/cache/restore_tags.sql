-- As for the entries. The answers of a generation that is replaced wait to be freed: the rows are locked and read first (the
-- count makes it so), since an upsert does not return what it replaced.
WITH given AS MATERIALIZED (
    SELECT *
    FROM unnest(
        $1::bytea[], $2::bytea[], $3::text[], $4::text[], $5::text[], $6::uuid[], $7::bigint[], $8::timestamptz[]
    ) AS given (digest, room, tenant, namespace, tag, generation, version, modified_at)
),
before AS MATERIALIZED (
    SELECT t.digest, t.generation, t.room, t.tag
    FROM given
    JOIN hexmem.cache_tags AS t ON t.digest = given.digest
    ORDER BY t.digest
    FOR UPDATE OF t
),
written AS (
    INSERT INTO hexmem.cache_tags AS t (digest, room, tenant, namespace, tag, generation, version, modified_at)
    SELECT given.* FROM given WHERE (SELECT count(*) FROM before) >= 0 ORDER BY given.digest
    ON CONFLICT (digest) DO UPDATE SET
        generation = excluded.generation, version = excluded.version, modified_at = excluded.modified_at
    WHERE (excluded.version, excluded.modified_at) > (t.version, t.modified_at)
    RETURNING t.digest, t.generation
),
ended AS (
    INSERT INTO hexmem.cache_ended (generation, room, tag, ended_at)
    SELECT before.generation, before.room, before.tag, hexmem.now()
    FROM before
    JOIN written ON written.digest = before.digest AND written.generation <> before.generation
    ON CONFLICT (generation, room, tag) DO UPDATE SET ended_at = excluded.ended_at, drained = false
)
SELECT written.digest FROM written
