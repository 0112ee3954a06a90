-- A tombstone keeps no payload.
DELETE FROM queue_body WHERE row = ?1
