-- Ordered as the entries are. A place without a generation is no entity.
SELECT
    tag.digest, room.tenant, room.name, tag.kind, tag.name, tag.generation, tag.version, tag.modified_at
FROM cache_tag AS tag
JOIN cache_room AS room ON room.id = tag.room
WHERE tag.digest > ?1 AND tag.generation IS NOT NULL
ORDER BY tag.digest
LIMIT ?2
