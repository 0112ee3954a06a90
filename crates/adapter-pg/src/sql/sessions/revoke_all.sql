-- All live ones of the owner but one; NULL excepts nobody. Locked in the order of ids, as whoever else locks several
-- sessions of an owner.
WITH at AS MATERIALIZED (
    SELECT hexmem.now() AS now
),
chosen AS (
    SELECT s.seq
    FROM hexmem.sessions AS s
    CROSS JOIN at
    WHERE s.tenant = $1 AND s.owner = $2 AND s.id IS DISTINCT FROM $3 AND s.revoked_at IS NULL
        AND s.idle_expires_at > at.now
    ORDER BY s.id
    FOR NO KEY UPDATE OF s
),
ended AS (
    UPDATE hexmem.sessions AS s
    SET revoked_at = at.now, revision = s.revision + 1, modified_at = at.now,
        sweep_at = least(s.sweep_at, hexmem.later(at.now, s.retention))
    FROM chosen, at
    WHERE s.seq = chosen.seq
    RETURNING s.seq
),
pushed AS (
    SELECT hexmem.push_effects($4, $5, $6, $7, $8, $9) FROM (SELECT FROM ended LIMIT 1) AS any_of_them
    WHERE cardinality($4::uuid[]) > 0
)
SELECT count(*) FROM ended LEFT JOIN pushed ON true
