-- Up to where the server has written, or replayed where it follows another: what a follower is compared with.
SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END::text
