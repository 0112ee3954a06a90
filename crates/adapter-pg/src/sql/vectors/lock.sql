-- The collection's row, for a change of several statements. Nothing comes back where it has another life.
SELECT c.id FROM hexmem.vector_collections c WHERE c.id = $1 AND c.version = $2 AND c.spec IS NOT NULL FOR UPDATE
