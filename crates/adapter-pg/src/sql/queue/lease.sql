-- Settle, choose, hand out in one round trip; the choice skips locked rows and is made before the update sees them.
SELECT now, due_at, piled_up, id, attempt, lease, payload, headers, group_name, deadline, leased_until, priority,
    sequence
FROM hexmem.queue_lease($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
