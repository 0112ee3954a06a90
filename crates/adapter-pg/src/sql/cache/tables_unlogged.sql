-- All or none: answers without the generations of their tags would be lost, tags without the tombstones of keys be wrong.
LOCK TABLE hexmem.cache_tags, hexmem.cache_entries, hexmem.cache_ended IN ACCESS EXCLUSIVE MODE;
ALTER TABLE hexmem.cache_tags SET UNLOGGED;
ALTER TABLE hexmem.cache_entries SET UNLOGGED;
ALTER TABLE hexmem.cache_ended SET UNLOGGED;
