-- The oldest entries up to a revision, a number of them.
DELETE FROM graph_log
WHERE (graph, revision, place) IN (
    SELECT graph, revision, place
    FROM graph_log
    WHERE graph = ?1 AND revision <= ?2
    ORDER BY graph, revision, place
    LIMIT ?3
)
