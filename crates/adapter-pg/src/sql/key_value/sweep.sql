-- Bounded, and past what another sweeps or changes right now. A change meanwhile is seen: the row is locked.
DELETE FROM hexmem.key_value
WHERE (bucket, key) IN (
    SELECT held.bucket, held.key
    FROM hexmem.key_value AS held
    WHERE held.free_at <= hexmem.now()
    ORDER BY held.free_at
    LIMIT $1
    FOR UPDATE SKIP LOCKED
)
