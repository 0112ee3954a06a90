-- The command that has taken a key.
SELECT command FROM queue_dedupe WHERE queue = ?1 AND key = ?2 AND until > ?3
