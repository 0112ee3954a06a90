-- One effect of a change, within the change's own transaction.
INSERT INTO outbox (effect_id, topic, key, key_hash, payload, committed_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6)
