-- Versions of a stretch of edges that ended before an instant.
DELETE FROM graph_edge WHERE graph = ?1 AND id > ?2 AND id <= ?3 AND superseded_at < ?4
