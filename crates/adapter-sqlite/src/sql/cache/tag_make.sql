-- A generation for a tag that has none yet; another handle's stays. Answers with the one that there is.
INSERT INTO cache_tag (digest, room, kind, name, generation, version, modified_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
ON CONFLICT (digest) DO UPDATE SET
    version = CASE WHEN generation IS NULL THEN excluded.version ELSE version END,
    modified_at = CASE WHEN generation IS NULL THEN excluded.modified_at ELSE modified_at END,
    generation = coalesce(generation, excluded.generation)
RETURNING generation
