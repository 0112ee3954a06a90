-- What must be known before anything else is asked: all of it is readable by everybody.
SELECT current_setting('server_version_num')::int4, current_setting('server_encoding'), EXISTS (
    SELECT FROM pg_catalog.pg_extension e
    WHERE e.extname = 'vector' AND string_to_array(substring(e.extversion FROM '^[0-9.]+'), '.')::int4[] >= ARRAY[0, 8]
)
