-- Of each tag asked for, the answers that could be served and their bytes.
SELECT asked.key, count(*), coalesce(sum(answer.size), 0)
FROM json_each(?1) AS asked
JOIN cache_tag AS tag ON tag.digest = unhex(asked.value)
JOIN cache_entry_tag AS mine ON mine.tag = tag.id AND mine.generation = tag.generation
JOIN cache_entry AS answer ON answer.id = mine.entry AND answer.expires_at > ?2
WHERE NOT EXISTS (
    SELECT 1
    FROM cache_entry_tag AS bound
    JOIN cache_tag AS other ON other.id = bound.tag
    WHERE bound.entry = answer.id AND other.generation IS NOT bound.generation
)
GROUP BY asked.key
