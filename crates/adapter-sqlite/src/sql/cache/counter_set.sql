-- The sum that was computed under the write lock.
INSERT INTO cache_counter (room, kind, name, counts) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (room, kind, name) DO UPDATE SET counts = excluded.counts
