-- Answer, last invalidation and generations in one read: all are of one instant. Always one row; the answer
-- is NULL unless it is within its time and each generation it was stored with is the current one.
SELECT
    CASE WHEN held.remembered_until > ?2 THEN held.invalidation END,
    (
        SELECT json_group_array(json_array(asked.key, hex(tag.generation)))
        FROM json_each(?3) AS asked
        JOIN cache_tag AS tag ON tag.digest = unhex(asked.value)
        WHERE tag.generation IS NOT NULL
    ),
    answer.stored_at,
    answer.fresh_until,
    answer.expires_at,
    answer.meta,
    answer.value
FROM (SELECT ?1 AS digest) AS wanted
LEFT JOIN cache_entry AS held ON held.digest = wanted.digest
LEFT JOIN cache_entry AS answer ON answer.id = held.id
    AND answer.expires_at > ?2
    AND NOT EXISTS (
        SELECT 1
        FROM cache_entry_tag AS bound
        JOIN cache_tag AS tag ON tag.id = bound.tag
        WHERE bound.entry = answer.id AND tag.generation IS NOT bound.generation
    )
