-- One entry for each step of a batch.
INSERT INTO graph_log (graph, revision, place, kind, element, version) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
