-- One version. The one before has ended.
INSERT INTO graph_node (graph, id, version, revision, kind, created_at, recorded_at, superseded_at, data)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
