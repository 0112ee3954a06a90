-- Makes the buckets that are missing, before the statement that joins them: its snapshot must hold them.
SELECT hexmem.kv_bucket_id(given.digest, given.tenant, given.name)
FROM (
    SELECT DISTINCT ON (each.digest) each.digest, each.tenant, each.name
    FROM unnest($1::bytea[], $2::text[], $3::text[]) AS each (digest, tenant, name)
    ORDER BY each.digest
) AS given
