-- Keyset on the key, which never changes; both bounds are always given. The lengths are summed up before any value is
-- read, so that a page ends after the row that crosses the bytes. more: whether rows follow the last one given.
SELECT page.key, page.version, page.micros, page.value, page.found > $5 OR page.found > page.given AS more
FROM (
    SELECT sized.*, count(*) OVER () AS found,
        count(*) FILTER (WHERE sized.before < $6) OVER () AS given,
        row_number() OVER (ORDER BY sized.key) AS place
    FROM (
        SELECT held.*,
            coalesce(sum(octet_length(held.value)) OVER (
                ORDER BY held.key ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            ), 0) AS before
        FROM (
            SELECT entry.key, entry.version, entry.value,
                hexmem.micros(entry.expires_at) - hexmem.micros(present.at) AS micros
            FROM (SELECT hexmem.now() AS at) AS present
            CROSS JOIN hexmem.key_value AS entry
            WHERE entry.bucket = (SELECT id FROM hexmem.kv_bucket WHERE digest = $1)
                AND entry.key > $2
                AND entry.key >= $3
                AND entry.key <= $4
                AND entry.deleted_at IS NULL
                AND (entry.expires_at IS NULL OR entry.expires_at > present.at)
            ORDER BY entry.key
            LIMIT $5 + 1
        ) AS held
    ) AS sized
) AS page
WHERE page.place <= $5 AND page.before < $6
ORDER BY page.key
