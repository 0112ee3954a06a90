-- Commands that time alone has changed, the oldest change first, a bounded number at a time.
SELECT * FROM queue_command
WHERE queue = ?1 AND due_at <= ?2
ORDER BY due_at
LIMIT ?3
