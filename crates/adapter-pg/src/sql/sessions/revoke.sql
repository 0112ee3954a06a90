-- The first revocation counts; a dead session is left as it is. Its space is free the sooner.
WITH at AS MATERIALIZED (
    SELECT hexmem.now() AS now
),
ended AS (
    UPDATE hexmem.sessions AS s
    SET revoked_at = at.now, revision = s.revision + 1, modified_at = at.now,
        sweep_at = least(s.sweep_at, hexmem.later(at.now, s.retention))
    FROM at
    WHERE s.owner = $1 AND s.id = $2 AND s.revoked_at IS NULL AND s.idle_expires_at > at.now
    RETURNING s.seq
),
pushed AS (
    SELECT hexmem.push_effects($3, $4, $5, $6, $7, $8) FROM ended WHERE cardinality($3::uuid[]) > 0
)
SELECT count(*) FROM ended LEFT JOIN pushed ON true
