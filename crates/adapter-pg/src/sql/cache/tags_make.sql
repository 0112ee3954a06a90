-- Generations for tags that have none yet: one write for the life of a tag. Another handle's stays, and is what this one
-- answers with. In the order of digests, so that two who do this do not wait for each other in a circle.
WITH at AS MATERIALIZED (
    SELECT hexmem.now() AS now
)
INSERT INTO hexmem.cache_tags AS t (digest, room, tenant, namespace, tag, generation, version, modified_at)
SELECT made.digest, $1, $2, $3, made.tag, made.generation, hexmem.micros(at.now) / 1000, at.now
FROM unnest($4::bytea[], $5::text[], $6::uuid[]) AS made (digest, tag, generation)
CROSS JOIN at
ORDER BY made.digest
ON CONFLICT (digest) DO UPDATE SET generation = t.generation
RETURNING t.digest, t.generation
