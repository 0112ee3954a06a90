-- What the server says of itself. Every setting here is readable by everybody; ratios of nothing are NULL, not an error.
SELECT current_setting('server_version'),
    pg_is_in_recovery(),
    current_setting('fsync') = 'on' AND current_setting('synchronous_commit') <> 'off'
        AND current_setting('full_page_writes') = 'on',
    (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
    current_setting('max_connections')::int8,
    pg_database_size(current_database()),
    (
        SELECT sum(heap_blks_hit + coalesce(idx_blks_hit, 0) + coalesce(toast_blks_hit, 0))::float8
            / nullif(sum(heap_blks_hit + heap_blks_read + coalesce(idx_blks_hit + idx_blks_read, 0)
                + coalesce(toast_blks_hit + toast_blks_read, 0)), 0)::float8
        FROM pg_statio_all_tables
        WHERE schemaname = $1
    )
