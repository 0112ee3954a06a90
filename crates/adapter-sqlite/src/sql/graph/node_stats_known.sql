-- Nodes by type as known at ?2: reads the whole graph.
SELECT kind, count(*) FROM graph_node
WHERE graph = ?1 AND recorded_at <= ?2 AND (superseded_at IS NULL OR superseded_at > ?2)
GROUP BY kind
