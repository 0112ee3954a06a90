-- Edges by relation as known at ?3: reads the whole graph.
SELECT relation, count(*) FROM graph_edge
WHERE graph = ?1 AND recorded_at <= ?3 AND (superseded_at IS NULL OR superseded_at > ?3)
    AND (?2 IS NULL OR ((valid_from IS NULL OR valid_from <= ?2) AND (valid_until IS NULL OR valid_until > ?2)))
GROUP BY relation
