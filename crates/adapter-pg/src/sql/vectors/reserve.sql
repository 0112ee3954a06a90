-- Takes ords out of the collection's counter, and tells what points must be to fit, in one round trip. What is not
-- used stays a gap.
WITH there AS (
    SELECT c.id, c.version, c.points, c.spec FROM hexmem.vector_collections c
    WHERE c.id = hexmem.vector_reach($1) AND c.spec IS NOT NULL
), taken AS (
    UPDATE hexmem.vector_ords o SET next = o.next + $2 FROM there
    WHERE o.collection = there.id AND o.next <= 2147483646 - $2
    RETURNING o.next - $2 AS base
)
SELECT t.id, t.version, t.points, t.spec,
    ARRAY(SELECT i.channel FROM hexmem.vector_indexes i WHERE i.collection = t.id),
    (SELECT taken.base FROM taken)
FROM there t
