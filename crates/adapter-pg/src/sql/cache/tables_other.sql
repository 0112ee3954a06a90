-- How many of the tables that must be lost together or kept together are not kept as $1 says: p is logged, u is not.
SELECT count(*)
FROM pg_catalog.pg_class AS c
WHERE c.oid IN (
        to_regclass('hexmem.cache_tags'), to_regclass('hexmem.cache_entries'), to_regclass('hexmem.cache_ended')
    )
    AND c.relpersistence::text <> $1
