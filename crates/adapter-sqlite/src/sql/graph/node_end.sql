-- Ends the current version, if there is one.
UPDATE graph_node SET superseded_at = ?3 WHERE graph = ?1 AND id = ?2 AND superseded_at IS NULL
