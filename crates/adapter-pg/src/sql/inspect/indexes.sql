-- Each index of the schema, and whether the planner may use it: one whose building was interrupted is there and is not.
SELECT kind.relname::text, place.indisvalid AND place.indisready, pg_relation_size(kind.oid), coalesce(stat.idx_scan, 0)
FROM pg_index AS place
JOIN pg_class AS kind ON kind.oid = place.indexrelid
JOIN pg_namespace AS space ON space.oid = kind.relnamespace
LEFT JOIN pg_stat_all_indexes AS stat ON stat.indexrelid = kind.oid
WHERE space.nspname = $1
ORDER BY kind.relname
