-- What changed. The states are read by statements of their own.
SELECT revision, place, kind, element FROM graph_log
WHERE graph = ?1 AND revision > ?2 AND revision <= ?3
ORDER BY revision, place
