-- A whole segment, channel by channel.
DELETE FROM vector_postings WHERE collection = ?1 AND channel = ?2 AND segment = ?3
