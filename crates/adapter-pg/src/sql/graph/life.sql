-- Where a graph is in its life; it outlives the graph.
SELECT version, revision, log_start, created_at, deleted_at, updated_at FROM hexmem.graph WHERE digest = $1
