-- A tombstone: the elements go with their body.
WITH remains AS (
    INSERT INTO hexmem.graph_remains (body) SELECT body FROM hexmem.graph WHERE id = $1
)
UPDATE hexmem.graph SET body = nextval('hexmem.graph_body') WHERE id = $1 RETURNING body
