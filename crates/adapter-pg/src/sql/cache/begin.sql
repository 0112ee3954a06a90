-- Takes the right where nobody has it or it ran out. A follower asks again and again: a look decides first, since an insert
-- that meets a row locks it, and that is a write. No row, and nobody holds it: a race was lost, the caller asks again.
WITH at AS MATERIALIZED (
    SELECT hexmem.now() AS now
),
held AS MATERIALIZED (
    SELECT hexmem.micros(f.expires_at) - hexmem.micros(at.now) AS micros
    FROM hexmem.cache_flights AS f
    CROSS JOIN at
    WHERE f.digest = $1 AND f.expires_at > at.now
),
taken AS (
    INSERT INTO hexmem.cache_flights AS f (digest, lease, expires_at)
    SELECT $1, $2, hexmem.later(at.now, $3)
    FROM at
    WHERE NOT EXISTS (SELECT FROM held)
    ON CONFLICT (digest) DO UPDATE SET lease = excluded.lease, expires_at = excluded.expires_at
        WHERE f.expires_at <= (SELECT at.now FROM at)
    RETURNING 1
)
SELECT EXISTS (SELECT FROM taken), (SELECT held.micros FROM held)
