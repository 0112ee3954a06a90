-- The graph's row, also of one that was deleted: its revisions go on.
SELECT id, version, created_at, deleted_at, updated_at, revision, log_start FROM graph WHERE digest = ?1
