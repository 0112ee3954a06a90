-- The queue has a consumer, and what is left of its tokens.
UPDATE queue SET consumer_seen_at = ?2, bucket_full_at = ?3 WHERE queue = ?1
