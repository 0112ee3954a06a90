-- Ordered by a digest that never changes: an entity that goes and comes back keeps its place.
SELECT
    entry.digest, room.tenant, room.name, entry.fingerprint, entry.version, entry.modified_at,
    entry.invalidation, entry.remembered_until, entry.stored_at, entry.fresh_until, entry.expires_at,
    entry.meta, entry.value,
    (
        SELECT json_group_array(json_array(tag.kind, tag.name, hex(bound.generation)))
        FROM cache_entry_tag AS bound
        JOIN cache_tag AS tag ON tag.id = bound.tag
        WHERE bound.entry = entry.id
    )
FROM cache_entry AS entry
JOIN cache_room AS room ON room.id = entry.room
WHERE entry.digest > ?1
ORDER BY entry.digest
LIMIT ?2
