-- Temporal graphs: the current version of every node and edge, their past versions, a change log per graph, counts,
-- remembered batches; and the functions that change a graph in one round trip.

-- Elements lie under the number of their graph's body, not of its name: a delete gives the name a new body at once,
-- and the old one is cleared a little at a time.
CREATE SEQUENCE hexmem.graph_body;

CREATE TABLE hexmem.graph (
    id            bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    body          bigint      NOT NULL DEFAULT nextval('hexmem.graph_body'),
    -- Counts creations and deletions.
    version       bigint      NOT NULL DEFAULT 0,
    -- Its row is the lock that makes revisions visible in order.
    revision      bigint      NOT NULL DEFAULT 0,
    log_start     bigint      NOT NULL DEFAULT 0,
    created_at    timestamptz,
    deleted_at    timestamptz,
    updated_at    timestamptz,
    -- Somebody waits for changes until then: only so long do batches notify, for a commit that notifies waits for
    -- every other that does.
    watched_until timestamptz,
    -- SHA-256 of the length-prefixed tenant and name.
    digest        bytea       NOT NULL UNIQUE,
    tenant        text        COLLATE "C" NOT NULL,
    name          text        COLLATE "C" NOT NULL
) WITH (fillfactor = 50);

CREATE INDEX graph_name ON hexmem.graph (tenant, name) WHERE created_at IS NOT NULL AND deleted_at IS NULL;

-- Bodies of deleted graphs, until nothing is left of them.
CREATE TABLE hexmem.graph_remains (
    body bigint PRIMARY KEY
);

-- Current versions. A name has at most 1,024 bytes, so that an entry of these indexes fits with two of them. Room is
-- left on each page: a new version is written over the old one without touching an index.
CREATE TABLE hexmem.graph_node (
    graph       bigint      NOT NULL,
    version     bigint      NOT NULL,
    -- The revision that made the version: with it the log finds the state that an entry is about.
    revision    bigint      NOT NULL,
    created_at  timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    id          text        COLLATE "C" NOT NULL,
    kind        text        COLLATE "C" NOT NULL,
    -- JSON as it was given: jsonb would write its numbers aput.
    data        text        NOT NULL,
    PRIMARY KEY (graph, id)
) WITH (fillfactor = 90);

CREATE INDEX graph_node_kind ON hexmem.graph_node (graph, kind, id);

CREATE TABLE hexmem.graph_edge (
    graph       bigint           NOT NULL,
    version     bigint           NOT NULL,
    revision    bigint           NOT NULL,
    created_at  timestamptz      NOT NULL,
    recorded_at timestamptz      NOT NULL,
    valid_from  timestamptz,
    valid_until timestamptz,
    weight      double precision NOT NULL,
    id          uuid             NOT NULL,
    src         text             COLLATE "C" NOT NULL,
    relation    text             COLLATE "C" NOT NULL,
    dst         text             COLLATE "C" NOT NULL,
    source      text             COLLATE "C",
    data        text             NOT NULL,
    PRIMARY KEY (graph, id)
) WITH (fillfactor = 90);

CREATE INDEX graph_edge_src ON hexmem.graph_edge (graph, src, relation, id);
CREATE INDEX graph_edge_dst ON hexmem.graph_edge (graph, dst, relation, id);
CREATE INDEX graph_edge_relation ON hexmem.graph_edge (graph, relation, id);
CREATE INDEX graph_edge_source ON hexmem.graph_edge (graph, source, id) WHERE source IS NOT NULL;
-- Those that may not hold at a time: the others are counted.
CREATE INDEX graph_edge_bounded ON hexmem.graph_edge (graph, relation, valid_from, valid_until)
    WHERE valid_from IS NOT NULL OR valid_until IS NOT NULL;

-- Versions that ended. Only added to, and taken from the old end.
CREATE TABLE hexmem.graph_node_past (
    graph         bigint      NOT NULL,
    version       bigint      NOT NULL,
    revision      bigint      NOT NULL,
    created_at    timestamptz NOT NULL,
    recorded_at   timestamptz NOT NULL,
    superseded_at timestamptz NOT NULL,
    id            text        COLLATE "C" NOT NULL,
    kind          text        COLLATE "C" NOT NULL,
    data          text        NOT NULL,
    PRIMARY KEY (graph, id, version)
);

CREATE TABLE hexmem.graph_edge_past (
    graph         bigint           NOT NULL,
    version       bigint           NOT NULL,
    revision      bigint           NOT NULL,
    created_at    timestamptz      NOT NULL,
    recorded_at   timestamptz      NOT NULL,
    superseded_at timestamptz      NOT NULL,
    valid_from    timestamptz,
    valid_until   timestamptz,
    weight        double precision NOT NULL,
    id            uuid             NOT NULL,
    src           text             COLLATE "C" NOT NULL,
    relation      text             COLLATE "C" NOT NULL,
    dst           text             COLLATE "C" NOT NULL,
    source        text             COLLATE "C",
    data          text             NOT NULL,
    PRIMARY KEY (graph, id, version)
);

CREATE INDEX graph_edge_past_src ON hexmem.graph_edge_past (graph, src);
CREATE INDEX graph_edge_past_dst ON hexmem.graph_edge_past (graph, dst);
-- Rows come in the order of these times, so that a few bytes for many pages find the old ones.
CREATE INDEX graph_node_past_time ON hexmem.graph_node_past USING brin (superseded_at) WITH (pages_per_range = 32);
CREATE INDEX graph_edge_past_time ON hexmem.graph_edge_past USING brin (superseded_at) WITH (pages_per_range = 32);
CREATE INDEX graph_edge_past_source ON hexmem.graph_edge_past (graph, source, id) WHERE source IS NOT NULL;

CREATE TABLE hexmem.graph_log (
    graph    bigint  NOT NULL,
    revision bigint  NOT NULL,
    -- The version that became current; NULL: it ended or was purged.
    version  bigint,
    place    integer NOT NULL,
    -- One of the two.
    edge     uuid,
    node     text    COLLATE "C",
    PRIMARY KEY (graph, revision, place)
);

CREATE TABLE hexmem.graph_batch (
    graph       bigint      NOT NULL,
    revision    bigint      NOT NULL,
    recorded_at timestamptz NOT NULL,
    id          uuid        NOT NULL,
    PRIMARY KEY (graph, id)
);

-- How many current nodes of a type (element 0) and edges of a relation (element 1) there are, whenever they hold.
CREATE TABLE hexmem.graph_count (
    graph   bigint   NOT NULL,
    n       bigint   NOT NULL,
    element smallint NOT NULL,
    name    text     COLLATE "C" NOT NULL,
    PRIMARY KEY (graph, element, name)
) WITH (fillfactor = 50);

-- The current edges at these nodes.
CREATE FUNCTION hexmem.graph_edges_now(p_body bigint, p_nodes text[]) RETURNS SETOF uuid LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY
        SELECT edge.id FROM unnest(p_nodes) AS given(id)
        JOIN hexmem.graph_edge AS edge ON edge.graph = p_body AND edge.src = given.id
        UNION
        SELECT edge.id FROM unnest(p_nodes) AS given(id)
        JOIN hexmem.graph_edge AS edge ON edge.graph = p_body AND edge.dst = given.id;
END $$;

-- The edges of which a version at one of these nodes is kept.
CREATE FUNCTION hexmem.graph_edges_ever(p_body bigint, p_nodes text[]) RETURNS SETOF uuid LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY
        SELECT edge.id FROM unnest(p_nodes) AS given(id)
        JOIN hexmem.graph_edge AS edge ON edge.graph = p_body AND edge.src = given.id
        UNION
        SELECT edge.id FROM unnest(p_nodes) AS given(id)
        JOIN hexmem.graph_edge AS edge ON edge.graph = p_body AND edge.dst = given.id
        UNION
        SELECT edge.id FROM unnest(p_nodes) AS given(id)
        JOIN hexmem.graph_edge_past AS edge ON edge.graph = p_body AND edge.src = given.id
        UNION
        SELECT edge.id FROM unnest(p_nodes) AS given(id)
        JOIN hexmem.graph_edge_past AS edge ON edge.graph = p_body AND edge.dst = given.id;
END $$;

-- Whether an edge ever was at a node, other than these: the first one found ends the search.
CREATE FUNCTION hexmem.graph_joined(p_body bigint, p_node text, p_but uuid[]) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RETURN EXISTS (
        SELECT FROM hexmem.graph_edge AS edge
        WHERE edge.graph = p_body AND edge.src = p_node AND edge.id <> ALL (p_but)
    ) OR EXISTS (
        SELECT FROM hexmem.graph_edge AS edge
        WHERE edge.graph = p_body AND edge.dst = p_node AND edge.id <> ALL (p_but)
    ) OR EXISTS (
        SELECT FROM hexmem.graph_edge_past AS edge
        WHERE edge.graph = p_body AND edge.src = p_node AND edge.id <> ALL (p_but)
    ) OR EXISTS (
        SELECT FROM hexmem.graph_edge_past AS edge
        WHERE edge.graph = p_body AND edge.dst = p_node AND edge.id <> ALL (p_but)
    );
END $$;

-- The last versions of what a batch touches: of these nodes; of these edges, of the current ones at nodes that are
-- removed and of all ever at nodes that are purged; and those of the orphans at which another edge ever was.
-- A row's tag: 1 a node, 2 an edge, 3 an orphan that is joined.
CREATE FUNCTION hexmem.graph_load(
    p_body bigint, p_nodes text[], p_edges uuid[], p_removed text[], p_purged text[], p_orphans text[]
) RETURNS TABLE (
    o_tag smallint, o_body bigint, o_version bigint, o_revision bigint, o_created timestamptz, o_recorded timestamptz,
    o_superseded timestamptz, o_id text, o_kind text, o_data text, o_edge uuid, o_src text, o_dst text,
    o_weight double precision, o_from timestamptz, o_until timestamptz, o_source text
) LANGUAGE plpgsql AS $$
DECLARE
    v_edges uuid[] := p_edges;
BEGIN
    RETURN QUERY
        SELECT 1::smallint, NULL::bigint, node.version, node.revision, node.created_at, node.recorded_at, NULL::timestamptz,
            node.id, node.kind, node.data, NULL::uuid, NULL::text, NULL::text, NULL::double precision,
            NULL::timestamptz, NULL::timestamptz, NULL::text
        FROM unnest(p_nodes) AS given(id)
        JOIN hexmem.graph_node AS node ON node.graph = p_body AND node.id = given.id;
    RETURN QUERY
        SELECT 1::smallint, NULL::bigint, node.version, node.revision, node.created_at, node.recorded_at, node.superseded_at,
            node.id, node.kind, node.data, NULL::uuid, NULL::text, NULL::text, NULL::double precision,
            NULL::timestamptz, NULL::timestamptz, NULL::text
        FROM unnest(p_nodes) AS given(id)
        CROSS JOIN LATERAL (
            SELECT * FROM hexmem.graph_node_past AS past
            WHERE past.graph = p_body AND past.id = given.id
            ORDER BY past.version DESC
            LIMIT 1
        ) AS node
        WHERE NOT EXISTS (
            SELECT FROM hexmem.graph_node AS now WHERE now.graph = p_body AND now.id = given.id
        );
    IF cardinality(p_removed) > 0 THEN
        v_edges := v_edges || ARRAY(SELECT edge FROM hexmem.graph_edges_now(p_body, p_removed) AS edge);
    END IF;
    IF cardinality(p_purged) > 0 THEN
        v_edges := v_edges || ARRAY(SELECT edge FROM hexmem.graph_edges_ever(p_body, p_purged) AS edge);
    END IF;
    IF cardinality(v_edges) > 0 THEN
        RETURN QUERY
            SELECT 2::smallint, NULL::bigint, edge.version, edge.revision, edge.created_at, edge.recorded_at, NULL::timestamptz,
                NULL::text, edge.relation, edge.data, edge.id, edge.src, edge.dst, edge.weight, edge.valid_from,
                edge.valid_until, edge.source
            FROM (SELECT DISTINCT unnest(v_edges) AS id) AS given
            JOIN hexmem.graph_edge AS edge ON edge.graph = p_body AND edge.id = given.id;
        RETURN QUERY
            SELECT 2::smallint, NULL::bigint, edge.version, edge.revision, edge.created_at, edge.recorded_at, edge.superseded_at,
                NULL::text, edge.relation, edge.data, edge.id, edge.src, edge.dst, edge.weight, edge.valid_from,
                edge.valid_until, edge.source
            FROM (SELECT DISTINCT unnest(v_edges) AS id) AS given
            CROSS JOIN LATERAL (
                SELECT * FROM hexmem.graph_edge_past AS past
                WHERE past.graph = p_body AND past.id = given.id
                ORDER BY past.version DESC
                LIMIT 1
            ) AS edge
            WHERE NOT EXISTS (
                SELECT FROM hexmem.graph_edge AS now WHERE now.graph = p_body AND now.id = given.id
            );
    END IF;
    IF cardinality(p_orphans) > 0 THEN
        RETURN QUERY
            SELECT 3::smallint, NULL::bigint, NULL::bigint, NULL::bigint, NULL::timestamptz, NULL::timestamptz, NULL::timestamptz,
                given.id, NULL::text, NULL::text, NULL::uuid, NULL::text, NULL::text, NULL::double precision,
                NULL::timestamptz, NULL::timestamptz, NULL::text
            FROM unnest(p_orphans) AS given(id)
            WHERE hexmem.graph_joined(p_body, given.id, v_edges);
    END IF;
END $$;

-- Whether what a plan was made on is still so. A version of 0: there is none, above: this one is current, below: it
-- was the last and ended; NULL: it exists, whatever its version.
CREATE FUNCTION hexmem.graph_holds(
    p_body bigint,
    p_nodes text[], p_node_versions bigint[], p_node_revisions bigint[],
    p_edges uuid[], p_edge_versions bigint[], p_edge_revisions bigint[],
    p_removed text[], p_purged text[], p_orphans text[], p_joined boolean[]
) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF cardinality(p_nodes) > 0 AND EXISTS (
        SELECT FROM unnest(p_nodes, p_node_versions, p_node_revisions) AS given(id, version, revision)
        LEFT JOIN hexmem.graph_node AS node ON node.graph = p_body AND node.id = given.id
        WHERE CASE
            WHEN given.version IS NULL THEN node.id IS NULL
            WHEN given.version > 0 THEN
                (node.version, node.revision) IS DISTINCT FROM (given.version, given.revision)
            WHEN node.id IS NOT NULL THEN true
            WHEN given.version = 0 THEN EXISTS (
                SELECT FROM hexmem.graph_node_past AS past WHERE past.graph = p_body AND past.id = given.id
            )
            ELSE NOT EXISTS (
                SELECT FROM (
                    SELECT past.version, past.revision FROM hexmem.graph_node_past AS past
                    WHERE past.graph = p_body AND past.id = given.id
                    ORDER BY past.version DESC
                    LIMIT 1
                ) AS last
                WHERE last.version = -given.version AND last.revision = given.revision
            )
        END
    ) THEN
        RETURN false;
    END IF;
    IF cardinality(p_edges) > 0 AND EXISTS (
        SELECT FROM unnest(p_edges, p_edge_versions, p_edge_revisions) AS given(id, version, revision)
        LEFT JOIN hexmem.graph_edge AS edge ON edge.graph = p_body AND edge.id = given.id
        WHERE CASE
            WHEN given.version > 0 THEN
                (edge.version, edge.revision) IS DISTINCT FROM (given.version, given.revision)
            WHEN edge.id IS NOT NULL THEN true
            WHEN given.version = 0 THEN EXISTS (
                SELECT FROM hexmem.graph_edge_past AS past WHERE past.graph = p_body AND past.id = given.id
            )
            ELSE NOT EXISTS (
                SELECT FROM (
                    SELECT past.version, past.revision FROM hexmem.graph_edge_past AS past
                    WHERE past.graph = p_body AND past.id = given.id
                    ORDER BY past.version DESC
                    LIMIT 1
                ) AS last
                WHERE last.version = -given.version AND last.revision = given.revision
            )
        END
    ) THEN
        RETURN false;
    END IF;
    IF cardinality(p_removed) > 0 AND EXISTS (
        SELECT FROM hexmem.graph_edges_now(p_body, p_removed) AS edge
        WHERE NOT EXISTS (SELECT FROM unnest(p_edges) AS known WHERE known = edge)
    ) THEN
        RETURN false;
    END IF;
    IF cardinality(p_purged) > 0 AND EXISTS (
        SELECT FROM hexmem.graph_edges_ever(p_body, p_purged) AS edge
        WHERE NOT EXISTS (SELECT FROM unnest(p_edges) AS known WHERE known = edge)
    ) THEN
        RETURN false;
    END IF;
    RETURN NOT (cardinality(p_orphans) > 0 AND EXISTS (
        SELECT FROM unnest(p_orphans, p_joined) AS given(id, joined)
        WHERE hexmem.graph_joined(p_body, given.id, p_edges) <> given.joined
    ));
END $$;

-- Writes what a plan comes to. Times that are not given are p_at; a revision is an offset from p_revision. Elements
-- are purged, then current versions are copied to the past, then those that ended are dropped, then rows are added.
CREATE FUNCTION hexmem.graph_write(
    p_body bigint, p_at timestamptz, p_revision bigint,
    p_purged_nodes text[], p_archived_nodes text[], p_ended_nodes text[],
    n_id text[], n_version bigint[], n_offset integer[], n_kind text[], n_created timestamptz[],
    n_recorded timestamptz[], n_superseded timestamptz[], n_current boolean[], n_data text[],
    p_purged_edges uuid[], p_archived_edges uuid[], p_ended_edges uuid[],
    e_id uuid[], e_version bigint[], e_offset integer[], e_src text[], e_relation text[], e_dst text[],
    e_weight double precision[], e_from timestamptz[], e_until timestamptz[], e_source text[],
    e_created timestamptz[], e_recorded timestamptz[], e_superseded timestamptz[], e_current boolean[], e_data text[],
    l_offset integer[], l_place integer[], l_node text[], l_edge uuid[], l_version bigint[],
    c_element smallint[], c_name text[], c_more bigint[]
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF cardinality(p_purged_edges) > 0 THEN
        DELETE FROM hexmem.graph_edge WHERE graph = p_body AND id = ANY (p_purged_edges);
        DELETE FROM hexmem.graph_edge_past WHERE graph = p_body AND id = ANY (p_purged_edges);
    END IF;
    IF cardinality(p_purged_nodes) > 0 THEN
        DELETE FROM hexmem.graph_node WHERE graph = p_body AND id = ANY (p_purged_nodes);
        DELETE FROM hexmem.graph_node_past WHERE graph = p_body AND id = ANY (p_purged_nodes);
    END IF;
    IF cardinality(p_archived_nodes) > 0 THEN
        INSERT INTO hexmem.graph_node_past
            (graph, version, revision, created_at, recorded_at, superseded_at, id, kind, data)
        SELECT graph, version, revision, created_at, recorded_at, p_at, id, kind, data
        FROM hexmem.graph_node
        WHERE graph = p_body AND id = ANY (p_archived_nodes);
    END IF;
    IF cardinality(p_archived_edges) > 0 THEN
        INSERT INTO hexmem.graph_edge_past (graph, version, revision, created_at, recorded_at, superseded_at,
            valid_from, valid_until, weight, id, src, relation, dst, source, data)
        SELECT graph, version, revision, created_at, recorded_at, p_at, valid_from, valid_until, weight, id, src,
            relation, dst, source, data
        FROM hexmem.graph_edge
        WHERE graph = p_body AND id = ANY (p_archived_edges);
    END IF;
    IF cardinality(p_ended_edges) > 0 THEN
        DELETE FROM hexmem.graph_edge WHERE graph = p_body AND id = ANY (p_ended_edges);
    END IF;
    IF cardinality(p_ended_nodes) > 0 THEN
        DELETE FROM hexmem.graph_node WHERE graph = p_body AND id = ANY (p_ended_nodes);
    END IF;
    IF true = ANY (n_current) THEN
        INSERT INTO hexmem.graph_node AS node (graph, version, revision, created_at, recorded_at, id, kind, data)
        SELECT p_body, put.version, p_revision + put.more, COALESCE(put.created, p_at), COALESCE(put.recorded, p_at),
            put.id, put.kind, put.data
        FROM unnest(n_id, n_version, n_offset, n_kind, n_created, n_recorded, n_current, n_data)
            AS put(id, version, more, kind, created, recorded, is_current, data)
        WHERE put.is_current
        ON CONFLICT (graph, id) DO UPDATE
        SET version = excluded.version, revision = excluded.revision, created_at = excluded.created_at,
            recorded_at = excluded.recorded_at, kind = excluded.kind, data = excluded.data;
    END IF;
    IF false = ANY (n_current) THEN
        INSERT INTO hexmem.graph_node_past
            (graph, version, revision, created_at, recorded_at, superseded_at, id, kind, data)
        SELECT p_body, put.version, p_revision + put.more, COALESCE(put.created, p_at), COALESCE(put.recorded, p_at),
            COALESCE(put.superseded, p_at), put.id, put.kind, put.data
        FROM unnest(n_id, n_version, n_offset, n_kind, n_created, n_recorded, n_superseded, n_current, n_data)
            AS put(id, version, more, kind, created, recorded, superseded, is_current, data)
        WHERE NOT put.is_current;
    END IF;
    IF true = ANY (e_current) THEN
        INSERT INTO hexmem.graph_edge AS edge (graph, version, revision, created_at, recorded_at, valid_from,
            valid_until, weight, id, src, relation, dst, source, data)
        SELECT p_body, put.version, p_revision + put.more, COALESCE(put.created, p_at), COALESCE(put.recorded, p_at),
            put.valid_from, put.valid_until, put.weight, put.id, put.src, put.relation, put.dst, put.source, put.data
        FROM unnest(e_id, e_version, e_offset, e_src, e_relation, e_dst, e_weight, e_from, e_until, e_source,
                e_created, e_recorded, e_current, e_data)
            AS put(id, version, more, src, relation, dst, weight, valid_from, valid_until, source, created, recorded,
                is_current, data)
        WHERE put.is_current
        ON CONFLICT (graph, id) DO UPDATE
        SET version = excluded.version, revision = excluded.revision, created_at = excluded.created_at,
            recorded_at = excluded.recorded_at, valid_from = excluded.valid_from, valid_until = excluded.valid_until,
            weight = excluded.weight, source = excluded.source, data = excluded.data;
    END IF;
    IF false = ANY (e_current) THEN
        INSERT INTO hexmem.graph_edge_past (graph, version, revision, created_at, recorded_at, superseded_at,
            valid_from, valid_until, weight, id, src, relation, dst, source, data)
        SELECT p_body, put.version, p_revision + put.more, COALESCE(put.created, p_at), COALESCE(put.recorded, p_at),
            COALESCE(put.superseded, p_at), put.valid_from, put.valid_until, put.weight, put.id, put.src,
            put.relation, put.dst, put.source, put.data
        FROM unnest(e_id, e_version, e_offset, e_src, e_relation, e_dst, e_weight, e_from, e_until, e_source,
                e_created, e_recorded, e_superseded, e_current, e_data)
            AS put(id, version, more, src, relation, dst, weight, valid_from, valid_until, source, created, recorded,
                superseded, is_current, data)
        WHERE NOT put.is_current;
    END IF;
    IF cardinality(l_place) > 0 THEN
        INSERT INTO hexmem.graph_log (graph, revision, version, place, edge, node)
        SELECT p_body, p_revision + entry.more, entry.version, entry.place, entry.edge, entry.node
        FROM unnest(l_offset, l_place, l_node, l_edge, l_version) AS entry(more, place, node, edge, version);
    END IF;
    IF cardinality(c_name) > 0 THEN
        INSERT INTO hexmem.graph_count AS count (graph, n, element, name)
        SELECT p_body, change.more, change.element, change.name
        FROM unnest(c_element, c_name, c_more) AS change(element, name, more)
        ON CONFLICT (graph, element, name) DO UPDATE SET n = count.n + excluded.n;
        DELETE FROM hexmem.graph_count AS count
        USING unnest(c_element, c_name, c_more) AS change(element, name, more)
        WHERE change.more < 0 AND count.graph = p_body AND count.element = change.element
            AND count.name = change.name AND count.n = 0;
    END IF;
END $$;

-- Applies batches of one graph, planned before on what p_body, p_nodes and so on say of it: when that still holds
-- they are written, in one statement under the lock of the graph's row. Otherwise, and when nothing is to be written,
-- answers what a plan needs to know. The first row (tag 0) says which: o_version is 1 when they were written;
-- o_revision is the revision before, o_recorded the instant, o_created is NULL while the graph does not exist. Rows of
-- tag 4 are answers that batches got before: then nothing is written.
CREATE FUNCTION hexmem.graph_apply(
    p_digest bytea, p_tenant text, p_name text, p_body bigint, p_write boolean, p_batches uuid[], p_offsets integer[],
    p_nodes text[], p_node_versions bigint[], p_node_revisions bigint[],
    p_edges uuid[], p_edge_versions bigint[], p_edge_revisions bigint[],
    p_removed text[], p_purged text[], p_orphans text[], p_joined boolean[],
    p_purged_nodes text[], p_archived_nodes text[], p_ended_nodes text[],
    n_id text[], n_version bigint[], n_offset integer[], n_kind text[], n_created timestamptz[],
    n_recorded timestamptz[], n_superseded timestamptz[], n_current boolean[], n_data text[],
    p_purged_edges uuid[], p_archived_edges uuid[], p_ended_edges uuid[],
    e_id uuid[], e_version bigint[], e_offset integer[], e_src text[], e_relation text[], e_dst text[],
    e_weight double precision[], e_from timestamptz[], e_until timestamptz[], e_source text[],
    e_created timestamptz[], e_recorded timestamptz[], e_superseded timestamptz[], e_current boolean[], e_data text[],
    l_offset integer[], l_place integer[], l_node text[], l_edge uuid[], l_version bigint[],
    c_element smallint[], c_name text[], c_more bigint[],
    x_ids uuid[], x_topics text[], x_keys text[], x_hashes bytea[], x_payloads text[], x_locks int8[]
) RETURNS TABLE (
    o_tag smallint, o_body bigint, o_version bigint, o_revision bigint, o_created timestamptz, o_recorded timestamptz,
    o_superseded timestamptz, o_id text, o_kind text, o_data text, o_edge uuid, o_src text, o_dst text,
    o_weight double precision, o_from timestamptz, o_until timestamptz, o_source text
) LANGUAGE plpgsql AS $$
DECLARE
    life   hexmem.graph%ROWTYPE;
    v_more integer := 0;
BEGIN
    SELECT * INTO life FROM hexmem.graph AS graph WHERE graph.digest = p_digest FOR UPDATE;
    IF NOT FOUND AND p_write THEN
        INSERT INTO hexmem.graph (digest, tenant, name) VALUES (p_digest, p_tenant, p_name)
        ON CONFLICT (digest) DO NOTHING;
        SELECT * INTO life FROM hexmem.graph AS graph WHERE graph.digest = p_digest FOR UPDATE;
    END IF;
    o_tag := 0;
    o_body := COALESCE(life.body, 0);
    o_version := 0;
    o_revision := COALESCE(life.revision, 0);
    o_created := CASE WHEN life.deleted_at IS NULL THEN life.created_at END;
    o_recorded := GREATEST(hexmem.now(), life.updated_at);
    IF life.body IS NULL THEN
        RETURN NEXT;
        RETURN;
    END IF;
    IF p_write
        AND (p_body IS NULL OR p_body = life.body)
        AND NOT EXISTS (
            SELECT FROM hexmem.graph_batch AS batch WHERE batch.graph = life.body AND batch.id = ANY (p_batches)
        )
        AND hexmem.graph_holds(life.body, p_nodes, p_node_versions, p_node_revisions, p_edges, p_edge_versions,
            p_edge_revisions, p_removed, p_purged, p_orphans, p_joined)
    THEN
        o_version := 1;
        RETURN NEXT;
        PERFORM hexmem.graph_write(life.body, o_recorded, life.revision,
            p_purged_nodes, p_archived_nodes, p_ended_nodes, n_id, n_version, n_offset, n_kind, n_created, n_recorded,
            n_superseded, n_current, n_data, p_purged_edges, p_archived_edges, p_ended_edges, e_id, e_version,
            e_offset, e_src, e_relation, e_dst, e_weight, e_from, e_until, e_source, e_created, e_recorded,
            e_superseded, e_current, e_data, l_offset, l_place, l_node, l_edge, l_version, c_element, c_name, c_more);
        INSERT INTO hexmem.graph_batch (graph, id, revision, recorded_at)
        SELECT life.body, batch.id,
            CASE WHEN o_created IS NULL AND batch.more = 0 THEN 0 ELSE life.revision + batch.more END, o_recorded
        FROM unnest(p_batches, p_offsets) AS batch(id, more);
        SELECT COALESCE(max(more), 0) INTO v_more FROM unnest(p_offsets) AS more;
        IF v_more > 0 THEN
            UPDATE hexmem.graph AS graph
            SET revision = graph.revision + v_more,
                updated_at = o_recorded,
                version = graph.version + CASE WHEN o_created IS NULL THEN 1 ELSE 0 END,
                created_at = COALESCE(o_created, o_recorded),
                deleted_at = NULL
            WHERE graph.id = life.id;
            IF life.watched_until > o_recorded THEN
                PERFORM hexmem.notify('g' || encode(p_digest, 'hex'));
            END IF;
        END IF;
        IF cardinality(x_ids) > 0 THEN
            PERFORM hexmem.push_effects(x_ids, x_topics, x_keys, x_hashes, x_payloads, x_locks);
        END IF;
        RETURN;
    END IF;
    RETURN NEXT;
    RETURN QUERY
        SELECT 4::smallint, NULL::bigint, NULL::bigint, batch.revision, NULL::timestamptz, batch.recorded_at,
            NULL::timestamptz, NULL::text, NULL::text, NULL::text, batch.id, NULL::text, NULL::text,
            NULL::double precision, NULL::timestamptz, NULL::timestamptz, NULL::text
        FROM hexmem.graph_batch AS batch
        WHERE batch.graph = life.body AND batch.id = ANY (p_batches);
    RETURN QUERY SELECT * FROM hexmem.graph_load(life.body, p_nodes, p_edges, p_removed, p_purged, p_orphans);
END $$;

-- Removes a graph: its name gets a new body, the old one is left to hexmem.graph_clear. False when it does not exist.
CREATE FUNCTION hexmem.graph_delete(
    p_digest bytea, x_ids uuid[], x_topics text[], x_keys text[], x_hashes bytea[], x_payloads text[], x_locks int8[]
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    life hexmem.graph%ROWTYPE;
    v_at timestamptz;
BEGIN
    SELECT * INTO life FROM hexmem.graph AS graph WHERE graph.digest = p_digest FOR UPDATE;
    IF NOT FOUND OR life.created_at IS NULL OR life.deleted_at IS NOT NULL THEN
        RETURN false;
    END IF;
    v_at := GREATEST(hexmem.now(), life.updated_at);
    INSERT INTO hexmem.graph_remains (body) VALUES (life.body);
    UPDATE hexmem.graph AS graph
    SET body = nextval('hexmem.graph_body'),
        version = graph.version + 1,
        deleted_at = v_at,
        updated_at = v_at,
        revision = graph.revision + 1,
        log_start = graph.revision + 1
    WHERE graph.id = life.id;
    IF life.watched_until > v_at THEN
        PERFORM hexmem.notify('g' || encode(p_digest, 'hex'));
    END IF;
    IF cardinality(x_ids) > 0 THEN
        PERFORM hexmem.push_effects(x_ids, x_topics, x_keys, x_hashes, x_payloads, x_locks);
    END IF;
    RETURN true;
END $$;

-- Clears up to p_rows rows of the body of a deleted graph, of one table at a time. False when nothing is left of any,
-- or another session clears what is. Always by the index: a table read from its beginning meets, at each step, the rows
-- that the steps before have deleted.
CREATE FUNCTION hexmem.graph_clear(p_rows bigint) RETURNS boolean LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    v_body bigint;
    v_gone bigint;
BEGIN
    SELECT body INTO v_body FROM hexmem.graph_remains ORDER BY body LIMIT 1 FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    DELETE FROM hexmem.graph_edge
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM hexmem.graph_edge WHERE graph = v_body LIMIT p_rows));
    GET DIAGNOSTICS v_gone = ROW_COUNT;
    IF v_gone > 0 THEN RETURN true; END IF;
    DELETE FROM hexmem.graph_edge_past
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM hexmem.graph_edge_past WHERE graph = v_body LIMIT p_rows));
    GET DIAGNOSTICS v_gone = ROW_COUNT;
    IF v_gone > 0 THEN RETURN true; END IF;
    DELETE FROM hexmem.graph_node
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM hexmem.graph_node WHERE graph = v_body LIMIT p_rows));
    GET DIAGNOSTICS v_gone = ROW_COUNT;
    IF v_gone > 0 THEN RETURN true; END IF;
    DELETE FROM hexmem.graph_node_past
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM hexmem.graph_node_past WHERE graph = v_body LIMIT p_rows));
    GET DIAGNOSTICS v_gone = ROW_COUNT;
    IF v_gone > 0 THEN RETURN true; END IF;
    DELETE FROM hexmem.graph_log
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM hexmem.graph_log WHERE graph = v_body LIMIT p_rows));
    GET DIAGNOSTICS v_gone = ROW_COUNT;
    IF v_gone > 0 THEN RETURN true; END IF;
    DELETE FROM hexmem.graph_batch
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM hexmem.graph_batch WHERE graph = v_body LIMIT p_rows));
    GET DIAGNOSTICS v_gone = ROW_COUNT;
    IF v_gone > 0 THEN RETURN true; END IF;
    DELETE FROM hexmem.graph_count WHERE graph = v_body;
    DELETE FROM hexmem.graph_remains WHERE body = v_body;
    RETURN true;
END $$;

-- The row of a graph, made where it is missing and locked until the end of the transaction.
CREATE FUNCTION hexmem.graph_lock(p_digest bytea, p_tenant text, p_name text) RETURNS TABLE (
    o_id bigint, o_body bigint, o_version bigint, o_revision bigint, o_log_start bigint, o_created timestamptz,
    o_deleted timestamptz, o_updated timestamptz
) LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO hexmem.graph (digest, tenant, name) VALUES (p_digest, p_tenant, p_name)
    ON CONFLICT (digest) DO NOTHING;
    RETURN QUERY
        SELECT id, body, version, revision, log_start, created_at, deleted_at, updated_at
        FROM hexmem.graph
        WHERE digest = p_digest
        FOR UPDATE;
END $$;

-- Lets go of up to p_rows versions of each kind that ended before an instant; how many. What somebody purges meanwhile is
-- left to them: waiting for them while they wait for this one would be a circle. Planned for the instant that is given:
-- without it the planner takes a third of the rows for old ones and reads the table from its beginning.
CREATE FUNCTION hexmem.graph_forget(p_body bigint, p_before timestamptz, p_rows bigint) RETURNS bigint
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan SET enable_seqscan = off AS $$
DECLARE
    v_nodes bigint;
    v_edges bigint;
BEGIN
    DELETE FROM hexmem.graph_node_past
    WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM hexmem.graph_node_past
        WHERE graph = p_body AND superseded_at < p_before
        LIMIT p_rows
        FOR UPDATE SKIP LOCKED
    ));
    GET DIAGNOSTICS v_nodes = ROW_COUNT;
    DELETE FROM hexmem.graph_edge_past
    WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM hexmem.graph_edge_past
        WHERE graph = p_body AND superseded_at < p_before
        LIMIT p_rows
        FOR UPDATE SKIP LOCKED
    ));
    GET DIAGNOSTICS v_edges = ROW_COUNT;
    RETURN v_nodes + v_edges;
END $$;
