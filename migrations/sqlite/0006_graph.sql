-- Temporal graphs: every version of every node and edge, a change log per graph, remembered batches.

CREATE TABLE graph (
    id         INTEGER PRIMARY KEY,
    -- SHA-256 of the length-prefixed tenant and name.
    digest     BLOB    NOT NULL UNIQUE,
    tenant     BLOB    NOT NULL,
    name       BLOB    NOT NULL,
    -- Counts creations and deletions.
    version    INTEGER NOT NULL,
    created_at INTEGER,
    deleted_at INTEGER,
    updated_at INTEGER,
    -- Taken by updating this row in the transaction of the batch: revisions become visible in order.
    revision   INTEGER NOT NULL,
    log_start  INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX graph_name ON graph (tenant, name);

CREATE TABLE graph_node (
    row           INTEGER PRIMARY KEY,
    graph         INTEGER NOT NULL,
    -- UTF-8 as bytes: compared bytewise, also with the bound of a prefix, which need not be text.
    id            BLOB    NOT NULL,
    version       INTEGER NOT NULL,
    -- The revision that made the version: with it the log finds the state that an entry is about.
    revision      INTEGER NOT NULL,
    kind          TEXT    NOT NULL,
    created_at    INTEGER NOT NULL,
    recorded_at   INTEGER NOT NULL,
    superseded_at INTEGER,
    data          TEXT    NOT NULL
) STRICT;

CREATE UNIQUE INDEX graph_node_version ON graph_node (graph, id, version);
CREATE UNIQUE INDEX graph_node_current ON graph_node (graph, id) WHERE superseded_at IS NULL;
CREATE INDEX graph_node_kind ON graph_node (graph, kind, id) WHERE superseded_at IS NULL;

CREATE TABLE graph_edge (
    row           INTEGER PRIMARY KEY,
    graph         INTEGER NOT NULL,
    id            BLOB    NOT NULL,
    version       INTEGER NOT NULL,
    revision      INTEGER NOT NULL,
    src           BLOB    NOT NULL,
    relation      TEXT    NOT NULL,
    dst           BLOB    NOT NULL,
    weight        REAL    NOT NULL,
    valid_from    INTEGER,
    valid_until   INTEGER,
    source        TEXT,
    created_at    INTEGER NOT NULL,
    recorded_at   INTEGER NOT NULL,
    superseded_at INTEGER,
    data          TEXT    NOT NULL
) STRICT;

CREATE UNIQUE INDEX graph_edge_version ON graph_edge (graph, id, version);
CREATE UNIQUE INDEX graph_edge_current ON graph_edge (graph, id) WHERE superseded_at IS NULL;
-- Both serve current reads (superseded_at IS NULL) and reads of the past.
CREATE INDEX graph_edge_src ON graph_edge (graph, src, superseded_at);
CREATE INDEX graph_edge_dst ON graph_edge (graph, dst, superseded_at);
-- Counts by relation are answered from this index alone.
CREATE INDEX graph_edge_relation ON graph_edge (graph, relation, valid_from, valid_until)
    WHERE superseded_at IS NULL;

CREATE TABLE graph_log (
    graph    INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    place    INTEGER NOT NULL,
    -- 0: a node, 1: an edge.
    kind     INTEGER NOT NULL,
    element  BLOB    NOT NULL,
    -- The version that became current; NULL: it ended or was purged.
    version  INTEGER,
    PRIMARY KEY (graph, revision, place)
) STRICT, WITHOUT ROWID;

CREATE TABLE graph_batch (
    graph       INTEGER NOT NULL,
    id          BLOB    NOT NULL,
    revision    INTEGER NOT NULL,
    recorded_at INTEGER NOT NULL,
    PRIMARY KEY (graph, id)
) STRICT, WITHOUT ROWID;
