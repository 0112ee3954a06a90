-- Versions that ended before an instant.
DELETE FROM graph_edge WHERE graph = ?1 AND superseded_at < ?2
