-- An ended command, or a tombstone, as its record has it.
INSERT INTO hexmem.queue_ended (
    queue, id, sequence, version, modified_at, enqueued_at, ready_at, deadline, base_ms, cap_ms, result_ttl,
    max_attempts, attempts, priority, stage, jitter_percent, cancel_requested, group_hash, group_name, lease,
    settlement, progress, last_error, headers, payload, ended_at, deleted_at, free_at, result)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24,
    $25, $26, $27, $28, $29)
