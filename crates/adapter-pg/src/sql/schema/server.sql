-- What must be known before anything else is asked: all of it is readable by everybody.
SELECT current_setting('server_version_num')::int4, current_setting('server_encoding')
