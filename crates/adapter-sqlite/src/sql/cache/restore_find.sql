-- What a restored entry is compared with.
SELECT version, modified_at FROM cache_entry WHERE digest = ?1
