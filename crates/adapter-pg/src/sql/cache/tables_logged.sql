-- The way back from unlogged tables: the log gets all that is in them.
LOCK TABLE hexmem.cache_tags, hexmem.cache_entries, hexmem.cache_ended IN ACCESS EXCLUSIVE MODE;
ALTER TABLE hexmem.cache_tags SET LOGGED;
ALTER TABLE hexmem.cache_entries SET LOGGED;
ALTER TABLE hexmem.cache_ended SET LOGGED;
