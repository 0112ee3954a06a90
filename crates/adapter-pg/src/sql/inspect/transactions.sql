-- Who keeps a transaction open: dead rows younger than it stay. Of other roles only who may see them sees times.
SELECT pid, coalesce(application_name, ''), coalesce(state, ''),
    (extract(epoch FROM clock_timestamp() - xact_start) * 1000000)::int8
FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
    AND xact_start < clock_timestamp() - $1 * interval '1 microsecond'
ORDER BY xact_start
LIMIT 20
