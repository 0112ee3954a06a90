-- The whole walk is one statement: one round trip, one snapshot.
SELECT * FROM hexmem.graph_near($1, $2, $3, $4, $5, $6, $7, $8, $9::json, $10, $11::json, $12, $13, $14, $15, $16, $17)
