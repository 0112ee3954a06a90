-- Adds what a handle counted since its last flush.
UPDATE cache_room SET hits = hits + ?2, misses = misses + ?3 WHERE id = ?1
