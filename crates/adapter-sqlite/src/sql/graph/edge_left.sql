-- The nodes of a JSON array at which an edge ever was that is not in the JSON array ?3 of hex ids: the first one
-- found ends the search.
SELECT given.value FROM json_each(?2) AS given
WHERE EXISTS (
    SELECT 1 FROM graph_edge
    WHERE graph = ?1 AND src = CAST(given.value AS BLOB) AND id NOT IN (SELECT unhex(value) FROM json_each(?3))
) OR EXISTS (
    SELECT 1 FROM graph_edge
    WHERE graph = ?1 AND dst = CAST(given.value AS BLOB) AND id NOT IN (SELECT unhex(value) FROM json_each(?3))
)
