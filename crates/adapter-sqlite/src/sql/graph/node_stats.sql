-- Current nodes by type, from the index of types alone.
SELECT kind, count(*) FROM graph_node WHERE graph = ?1 AND superseded_at IS NULL GROUP BY kind
