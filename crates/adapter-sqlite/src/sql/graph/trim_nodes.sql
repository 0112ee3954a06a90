-- Versions that ended before an instant.
DELETE FROM graph_node WHERE graph = ?1 AND superseded_at < ?2
