-- The revision of the entry that fills the page: the page goes to its end, so that no batch is split.
SELECT revision FROM graph_log WHERE graph = ?1 AND revision > ?2 ORDER BY revision, place LIMIT 1 OFFSET ?3
