-- A schedule whose version was checked under its lock; a first one that another was faster with changes nothing.
INSERT INTO hexmem.queue_schedule AS s (
    queue, name_hash, name, spec, next_at, version, put_over, template, modified_at, deleted_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, COALESCE($9, hexmem.now()), $10)
ON CONFLICT (queue, name_hash) DO UPDATE SET
    spec = EXCLUDED.spec, next_at = EXCLUDED.next_at, version = EXCLUDED.version, put_over = EXCLUDED.put_over,
    template = EXCLUDED.template, modified_at = EXCLUDED.modified_at, deleted_at = EXCLUDED.deleted_at
WHERE s.version = $11
