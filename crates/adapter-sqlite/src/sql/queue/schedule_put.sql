-- A schedule whose version was checked under the write lock.
INSERT INTO queue_schedule (queue, name, spec, next_at, version, put_over, template, modified_at, deleted_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
ON CONFLICT (queue, name) DO UPDATE SET
    spec = excluded.spec, next_at = excluded.next_at, version = excluded.version,
    put_over = excluded.put_over, template = excluded.template, modified_at = excluded.modified_at,
    deleted_at = excluded.deleted_at
