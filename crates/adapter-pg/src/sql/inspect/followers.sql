-- The servers that follow this one. On a follower itself there is no current position.
SELECT coalesce(application_name, ''), coalesce(state, ''),
    CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::int8 END,
    (extract(epoch FROM replay_lag) * 1000000)::int8
FROM pg_stat_replication
ORDER BY application_name, pid
