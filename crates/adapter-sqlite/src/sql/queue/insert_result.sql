-- The result of the one acknowledgement that counts.
INSERT INTO queue_result (row, result) VALUES (?1, ?2)
