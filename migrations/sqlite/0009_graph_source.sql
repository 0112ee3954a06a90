-- Edges by where they come from, all versions: what a source said is found, and forgotten, without a scan.

CREATE INDEX graph_edge_source ON graph_edge (graph, source, id, version) WHERE source IS NOT NULL;
