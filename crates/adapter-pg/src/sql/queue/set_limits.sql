-- New limits, under a new version. The bucket starts anew where the rate is another: it belongs to a rate.
UPDATE hexmem.queue SET
    max_in_flight = $2, rate_count = $3, rate_per = $4, limits_version = $5,
    limits_modified_at = COALESCE($6, hexmem.now()),
    bucket_full_at = CASE WHEN rate_count IS NOT DISTINCT FROM $3 AND rate_per IS NOT DISTINCT FROM $4
        THEN bucket_full_at END
WHERE queue = $1
