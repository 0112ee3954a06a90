-- What a name stands at, under the write lock.
SELECT counts FROM cache_counter WHERE room = ?1 AND kind = ?2 AND name = ?3
