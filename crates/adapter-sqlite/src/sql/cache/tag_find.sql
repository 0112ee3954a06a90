-- A tag as it stands, under the write lock.
SELECT id, generation, version, modified_at FROM cache_tag WHERE digest = ?1
