-- Whether a name has a collection or only had one. Its row is locked: versions are compared and written in one change.
SELECT c.id, c.spec IS NOT NULL FROM hexmem.vector_collections c WHERE c.key_hash = $1 FOR UPDATE
