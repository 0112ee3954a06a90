-- An alias, or the tombstone of one.
SELECT version, modified_at, target FROM vector_aliases WHERE key_hash = ?1
