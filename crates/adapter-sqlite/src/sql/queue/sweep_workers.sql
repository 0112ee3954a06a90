-- Workers that nobody counts any more.
DELETE FROM queue_worker WHERE seen_at <= ?1 AND (waits_until IS NULL OR waits_until <= ?2)
