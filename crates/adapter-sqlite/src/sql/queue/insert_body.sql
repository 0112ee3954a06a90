-- The payload, written once.
INSERT INTO queue_body (row, payload, headers) VALUES (?1, ?2, ?3)
