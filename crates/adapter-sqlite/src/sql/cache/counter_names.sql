-- How many names of a room have counts of their own; few, by the limit on them.
SELECT count(*) FROM cache_counter WHERE room = ?1 AND kind = ?2 AND name <> ''
