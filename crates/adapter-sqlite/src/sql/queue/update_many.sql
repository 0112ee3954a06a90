-- As update.sql for a list of commands: an array of JSON each, the row first, then the columns in their order.
UPDATE queue_command SET
    stage = j.value ->> 1, sequence = j.value ->> 2, due_at = j.value ->> 3, free_at = j.value ->> 4,
    version = j.value ->> 5, modified_at = j.value ->> 6, ready_at = j.value ->> 7, deadline = j.value ->> 8,
    attempts = j.value ->> 9, leased_until = j.value ->> 10, worker = j.value ->> 11,
    lease = unhex(j.value ->> 12), settlement = j.value ->> 13, cancel_requested = j.value ->> 14,
    progress = j.value ->> 15, last_error = j.value ->> 16, ended_at = j.value ->> 17, deleted_at = j.value ->> 18
FROM json_each(?1) AS j
WHERE queue_command.row = j.value ->> 0
