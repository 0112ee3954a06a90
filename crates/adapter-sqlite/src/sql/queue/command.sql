-- One command by its id.
SELECT * FROM queue_command WHERE queue = ?1 AND id = ?2
