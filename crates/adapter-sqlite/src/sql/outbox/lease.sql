-- The oldest entries of keys that nobody holds. A key counts as held while one of its entries is, so that
-- what follows a held entry waits for it; walking by sequence keeps the order within each key.
UPDATE outbox
SET lease = ?1, leased_until = ?2
WHERE sequence IN (
    SELECT free.sequence
    FROM outbox AS free
    WHERE free.key_hash NOT IN (SELECT held.key_hash FROM outbox AS held WHERE held.leased_until > ?3)
    ORDER BY free.sequence
    LIMIT ?4
)
RETURNING sequence, effect_id, topic, key, payload, committed_at
