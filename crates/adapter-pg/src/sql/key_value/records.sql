-- In the order of (bucket, key), neither of which ever changes, dead rows included. Lengths are summed up before any
-- value is read.
SELECT page.bucket, page.tenant, page.name, page.key, page.version, page.modified_at, page.expires_at,
    page.deleted_at, page.value
FROM (
    SELECT entry.bucket, bucket.tenant, bucket.name, entry.key, entry.version, entry.modified_at,
        entry.expires_at, entry.deleted_at, entry.value,
        coalesce(sum(octet_length(entry.value)) OVER (
            ORDER BY entry.bucket, entry.key ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ), 0) AS before
    FROM (
        SELECT * FROM hexmem.key_value AS held
        WHERE (held.bucket, held.key) > ($1, $2)
        ORDER BY held.bucket, held.key
        LIMIT $3
    ) AS entry
    JOIN hexmem.kv_bucket AS bucket ON bucket.id = entry.bucket
) AS page
WHERE page.before < $4
ORDER BY page.bucket, page.key
