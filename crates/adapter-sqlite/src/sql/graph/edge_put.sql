-- One version. The one before has ended.
INSERT INTO graph_edge (graph, id, version, revision, src, relation, dst, weight, valid_from, valid_until, source,
    created_at, recorded_at, superseded_at, data)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)
