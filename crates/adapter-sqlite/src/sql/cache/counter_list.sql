-- The names of a room in bytewise order; the one without a name comes first.
SELECT counter.name, counter.counts
FROM cache_room AS room
JOIN cache_counter AS counter ON counter.room = room.id
WHERE room.digest = ?1 AND counter.kind = ?2
ORDER BY counter.name
