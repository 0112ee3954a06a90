-- The end of the next stretch of tags, walked round and round: a sweep never looks at all of them.
SELECT max(id), count(*) FROM (SELECT id FROM cache_tag WHERE id > ?1 ORDER BY id LIMIT ?2)
