-- A place for a tag whose record was not restored yet: without a generation nothing matches it.
INSERT INTO cache_tag (digest, room, kind, name, generation, version, modified_at)
VALUES (?1, ?2, ?3, ?4, NULL, 0, ?5)
ON CONFLICT (digest) DO NOTHING
