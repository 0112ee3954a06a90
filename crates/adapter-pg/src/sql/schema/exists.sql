-- Whether the schema and its list of steps are there. A name that is not there is no error here.
SELECT to_regnamespace($1) IS NOT NULL,
    to_regnamespace($1) IS NOT NULL AND to_regclass('hexmem.schema_steps') IS NOT NULL
