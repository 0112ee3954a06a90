-- One statement for any number of keys: they come as a JSON array, and the position comes back with each row.
-- CROSS JOIN keeps the order: each given key is looked up, instead of each key of the bucket compared with all.
SELECT given.key, entry.version, entry.modified_at, entry.expires_at, entry.deleted_at, entry.value
FROM json_each(?2) AS given
CROSS JOIN key_value AS entry
WHERE entry.bucket = (SELECT id FROM kv_bucket WHERE digest = ?1)
    AND entry.key = CAST(given.value AS BLOB)
    AND entry.deleted_at IS NULL
    AND (entry.expires_at IS NULL OR entry.expires_at > ?3)
