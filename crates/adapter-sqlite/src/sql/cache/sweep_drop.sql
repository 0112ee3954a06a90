-- After the tombstones were made: the rest goes.
DELETE FROM cache_entry WHERE id IN (SELECT value FROM json_each(?1)) AND expires_at IS NOT NULL
