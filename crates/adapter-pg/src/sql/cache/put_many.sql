-- Each set of generations is compared once ($4 to $7: where it begins and ends in the two lists), then the answers whose
-- sets hold are written, the last one of a key. Where the key has a row its invalidation is judged under the row's lock,
-- and the generations once more: what was invalidated and stored anew meanwhile is not replaced. The rule is
-- rules::ticket_holds. In the order of digests, so that two who put the same keys do not wait for each other in a circle.
WITH at AS MATERIALIZED (
    SELECT hexmem.now() AS now
),
held AS MATERIALIZED (
    SELECT given.place, given.tags, given.generations
    FROM (
        SELECT
            bounds.place,
            ($6::text[])[bounds.first:bounds.last] AS tags,
            ($7::uuid[])[bounds.first:bounds.last] AS generations
        FROM unnest($4::integer[], $5::integer[]) WITH ORDINALITY AS bounds (first, last, place)
    ) AS given
    WHERE NOT EXISTS (
        SELECT
        FROM unnest(given.tags, given.generations) AS bound (tag, generation)
        WHERE 0 = (
            SELECT count(*)
            FROM hexmem.cache_tags AS t
            WHERE t.generation = bound.generation AND t.room = $1 AND t.tag = bound.tag
        )
    )
),
asked AS MATERIALIZED (
    SELECT
        put.place, put.digest, put.fingerprint, put.invalidation, put.fresh, put.served, put.meta, put.value,
        held.tags, held.generations
    FROM unnest(
        $8::bytea[], $9::bytea[], $10::bigint[], $11::timestamptz[], $12::uuid[], $13::bigint[], $14::bigint[],
        $15::text[], $16::bytea[]
    ) WITH ORDINALITY AS put (
        digest, fingerprint, ticket, issued_at, invalidation, fresh, served, meta, value, place
    )
    JOIN held ON held.place = put.ticket
    CROSS JOIN at
    LEFT JOIN hexmem.cache_entries AS e ON e.digest = put.digest
    WHERE at.now - put.issued_at < $17 * interval '1 microsecond'
        AND (e.remembered_until IS NULL OR e.remembered_until <= at.now OR e.invalidation = put.invalidation)
),
written AS (
    INSERT INTO hexmem.cache_entries AS e (
        digest, room, tenant, namespace, fingerprint, version, modified_at, invalidation, tags, generations,
        stored_at, fresh_until, expires_at, meta, value
    )
    SELECT
        last.digest, $1, $2, $3, last.fingerprint, hexmem.micros(at.now) / 1000, at.now, last.invalidation,
        last.tags, last.generations, at.now, hexmem.later(at.now, last.fresh), hexmem.later(at.now, last.served),
        last.meta, last.value
    FROM (
        SELECT DISTINCT ON (asked.digest) asked.* FROM asked ORDER BY asked.digest, asked.place DESC
    ) AS last
    CROSS JOIN at
    ON CONFLICT (digest) DO UPDATE SET
        version = greatest(e.version + 1, excluded.version),
        modified_at = excluded.modified_at,
        tags = excluded.tags,
        generations = excluded.generations,
        stored_at = excluded.stored_at,
        fresh_until = excluded.fresh_until,
        expires_at = excluded.expires_at,
        meta = excluded.meta,
        value = excluded.value
    WHERE (
            e.remembered_until IS NULL OR e.remembered_until <= excluded.modified_at
            OR e.invalidation = excluded.invalidation
        )
        AND hexmem.cache_current(excluded.room, excluded.tags, excluded.generations)
    RETURNING e.digest
)
SELECT asked.place
FROM asked
JOIN written ON written.digest = asked.digest
