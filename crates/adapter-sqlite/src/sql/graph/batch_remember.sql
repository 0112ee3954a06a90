-- Kept as long as the log retains the revision.
INSERT INTO graph_batch (graph, id, revision, recorded_at) VALUES (?1, ?2, ?3, ?4)
