-- Commands by a list of ids.
SELECT * FROM queue_command WHERE queue = ?1 AND id IN (SELECT unhex(value) FROM json_each(?2))
