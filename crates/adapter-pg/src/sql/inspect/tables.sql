-- Each table of the schema, the largest first. The counts are the server's estimates.
SELECT kind.relname::text, greatest(stat.n_live_tup, 0), greatest(stat.n_dead_tup, 0),
    pg_table_size(kind.oid), pg_indexes_size(kind.oid), coalesce(stat.seq_scan, 0), coalesce(stat.idx_scan, 0)
FROM pg_class AS kind
JOIN pg_namespace AS space ON space.oid = kind.relnamespace
JOIN pg_stat_all_tables AS stat ON stat.relid = kind.oid
WHERE space.nspname = $1 AND kind.relkind IN ('r', 'm')
ORDER BY pg_total_relation_size(kind.oid) DESC, kind.relname
