-- By the range of keys: points of a collection lie together.
DELETE FROM vector_points WHERE at >= ?1 * 4294967296 AND at < (?1 + 1) * 4294967296
