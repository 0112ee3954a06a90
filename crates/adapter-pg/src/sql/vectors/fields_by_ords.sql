-- Only the fields that a filter asks for, as they were written: the payload itself stays on the server.
SELECT p.ord, p.id, ARRAY(SELECT (p.payload -> f.name)::text FROM unnest($3::text[]) WITH ORDINALITY f (name, at) ORDER BY f.at)
FROM hexmem.vector_points p WHERE p.collection = $1 AND p.ord = ANY ($2)
