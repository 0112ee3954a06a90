-- What a put or an invalidation decides on, under the write lock. Always one row.
SELECT
    held.version,
    CASE WHEN held.remembered_until > ?2 THEN held.invalidation END,
    (
        SELECT json_group_array(json_array(asked.key, hex(tag.generation)))
        FROM json_each(?3) AS asked
        JOIN cache_tag AS tag ON tag.digest = unhex(asked.value)
        WHERE tag.generation IS NOT NULL
    ),
    coalesce(held.expires_at > ?2 AND NOT EXISTS (
        SELECT 1
        FROM cache_entry_tag AS bound
        JOIN cache_tag AS tag ON tag.id = bound.tag
        WHERE bound.entry = held.id AND tag.generation IS NOT bound.generation
    ), 0)
FROM (SELECT ?1 AS digest) AS wanted
LEFT JOIN cache_entry AS held ON held.digest = wanted.digest
