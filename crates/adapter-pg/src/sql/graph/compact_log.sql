-- The oldest entries up to a revision, a number of them.
DELETE FROM hexmem.graph_log
WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM hexmem.graph_log
    WHERE graph = $1 AND revision <= $2
    ORDER BY revision, place
    LIMIT $3
    FOR UPDATE SKIP LOCKED
))
