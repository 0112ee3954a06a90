-- Keys whose window is over.
DELETE FROM queue_dedupe WHERE (queue, key) IN (
    SELECT queue, key FROM queue_dedupe WHERE until <= ?1 LIMIT ?2)
