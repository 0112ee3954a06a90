-- One statement for both ends of a block: those of which nothing is left go, the others are written.
WITH tidied AS (
    SELECT t.list, t.chunk, t.block FROM unnest($2::bigint[], $3::integer[], $4::bytea[]) t (list, chunk, block)
), emptied AS (
    DELETE FROM hexmem.vector_lists l USING tidied t
    WHERE l.collection = $1 AND l.list = t.list AND l.chunk = t.chunk AND length(t.block) = 0
)
UPDATE hexmem.vector_lists l SET block = t.block FROM tidied t
WHERE l.collection = $1 AND l.list = t.list AND l.chunk = t.chunk AND length(t.block) > 0
