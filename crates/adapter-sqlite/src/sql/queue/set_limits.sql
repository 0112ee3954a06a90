-- New limits, under a new version. The bucket starts anew: it belongs to a rate.
UPDATE queue SET
    max_in_flight = ?2, rate_count = ?3, rate_per = ?4, limits_version = ?5, limits_modified_at = ?6,
    bucket_full_at = iif(rate_count IS ?3 AND rate_per IS ?4, bucket_full_at, NULL)
WHERE queue = ?1
