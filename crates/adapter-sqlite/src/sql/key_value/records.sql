-- In the order of (bucket, key), neither of which ever changes, dead rows included.
SELECT entry.bucket, bucket.tenant, bucket.name, entry.key,
    entry.version, entry.modified_at, entry.expires_at, entry.deleted_at, entry.value
FROM key_value AS entry
JOIN kv_bucket AS bucket ON bucket.id = entry.bucket
WHERE (entry.bucket, entry.key) > (?1, ?2)
ORDER BY entry.bucket, entry.key
LIMIT ?3
