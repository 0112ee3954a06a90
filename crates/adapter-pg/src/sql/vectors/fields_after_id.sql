-- Only the fields that a filter asks for, of a page in order of id.
SELECT p.ord, p.id, ARRAY(SELECT (p.payload -> f.name)::text FROM unnest($3::text[]) WITH ORDINALITY f (name, at) ORDER BY f.at)
FROM hexmem.vector_points p WHERE p.collection = $1 AND p.id >= $2
ORDER BY p.id LIMIT $4
