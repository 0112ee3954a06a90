-- A command and, by the foreign keys, its body and result.
DELETE FROM queue_command WHERE row = ?1
