-- A command as the shared state machine made it.
INSERT INTO queue_command (
    queue, id, priority, group_name, group_hash, enqueued_at, max_attempts, base_ms, cap_ms, jitter_percent,
    result_ttl, stage, sequence, due_at, free_at, version, modified_at, ready_at, deadline, attempts,
    leased_until, worker, lease, settlement, cancel_requested, progress, last_error, ended_at, deleted_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22,
    ?23, ?24, ?25, ?26, ?27, ?28, ?29)
RETURNING row
