-- An unfinished command as its record has it.
INSERT INTO hexmem.queue_command (
    queue, id, sequence, version, modified_at, enqueued_at, ready_at, deadline, base_ms, cap_ms, result_ttl,
    max_attempts, attempts, priority, stage, jitter_percent, cancel_requested, group_hash, group_name, lease,
    settlement, progress, last_error, headers, payload, due_at, leased_until, worker)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24,
    $25, CASE WHEN $26::timestamptz IS NOT NULL THEN GREATEST($26, hexmem.now()) END, $27, $28)
