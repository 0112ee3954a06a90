-- Of those that are freed.
DELETE FROM cache_entry_tag WHERE entry IN (SELECT value FROM json_each(?1))
