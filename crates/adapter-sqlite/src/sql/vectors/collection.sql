-- A name that has, or had, a collection.
SELECT id, tenant, name, version, modified_at, revision, spec
FROM vector_collections WHERE key_hash = ?1
