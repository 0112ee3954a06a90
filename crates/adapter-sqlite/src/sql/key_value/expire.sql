-- Everything but the value, which is not rewritten.
UPDATE key_value
SET version = ?3, modified_at = ?4, expires_at = ?5, free_at = ?6
WHERE bucket = (SELECT id FROM kv_bucket WHERE digest = ?1) AND key = ?2
