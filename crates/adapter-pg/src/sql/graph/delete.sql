-- The name gets a new body; the old one is cleared afterwards.
SELECT hexmem.graph_delete($1, $2, $3, $4, $5, $6, $7)
