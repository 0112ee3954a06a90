-- Everything of a command that can change, after a step of the shared state machine.
UPDATE queue_command SET
    stage = ?2, sequence = ?3, due_at = ?4, free_at = ?5, version = ?6, modified_at = ?7, ready_at = ?8,
    deadline = ?9, attempts = ?10, leased_until = ?11, worker = ?12, lease = ?13, settlement = ?14,
    cancel_requested = ?15, progress = ?16, last_error = ?17, ended_at = ?18, deleted_at = ?19
WHERE row = ?1
