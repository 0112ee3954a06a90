-- Everything but the value, which is not rewritten. hexmem.now() in place, so that it is read again after a wait.
UPDATE hexmem.key_value AS held
SET version = hexmem.next_version(held.version, hexmem.now()), modified_at = hexmem.now(),
    expires_at = hexmem.later(hexmem.now(), $3), free_at = hexmem.later(hexmem.now(), $3)
WHERE held.bucket = (SELECT id FROM hexmem.kv_bucket WHERE digest = $1)
    AND held.key = $2
    AND held.deleted_at IS NULL
    AND (held.expires_at IS NULL OR held.expires_at > hexmem.now())
