-- Graphs that are never loaded: filters on data, and walks, answered in the server.

-- Whether two JSON scalars are equal: whole numbers exactly, others as doubles, 1 and 1.0 alike. The type json keeps
-- each number as it was written, which jsonb does not.
CREATE FUNCTION hexmem.graph_equal(p_value json, p_wanted json) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    v_type text := json_typeof(p_value);
    v_value text := p_value #>> '{}';
    v_wanted text := p_wanted #>> '{}';
BEGIN
    IF v_type <> json_typeof(p_wanted) OR v_type NOT IN ('string', 'number', 'boolean') THEN
        RETURN false;
    END IF;
    IF v_type <> 'number' THEN
        RETURN v_value = v_wanted;
    END IF;
    IF v_value ~ '^-?[0-9]+$' AND v_wanted ~ '^-?[0-9]+$' THEN
        RETURN v_value::numeric = v_wanted::numeric;
    END IF;
    RETURN v_value::double precision = v_wanted::double precision;
END $$;

-- Whether data passes a filter in its JSON form: the same answers as the filter language of the ports gives.
CREATE FUNCTION hexmem.graph_passes(p_data json, p_filter json) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    v_part  json;
    v_value json := p_data;
    v_key   text;
    v_number double precision;
BEGIN
    IF p_filter -> 'and' IS NOT NULL THEN
        FOR v_part IN SELECT part FROM json_array_elements(p_filter -> 'and') AS part LOOP
            IF NOT hexmem.graph_passes(p_data, v_part) THEN RETURN false; END IF;
        END LOOP;
        RETURN true;
    ELSIF p_filter -> 'or' IS NOT NULL THEN
        FOR v_part IN SELECT part FROM json_array_elements(p_filter -> 'or') AS part LOOP
            IF hexmem.graph_passes(p_data, v_part) THEN RETURN true; END IF;
        END LOOP;
        RETURN false;
    ELSIF p_filter -> 'not' IS NOT NULL THEN
        RETURN NOT hexmem.graph_passes(p_data, p_filter -> 'not');
    END IF;
    FOREACH v_key IN ARRAY string_to_array(p_filter ->> 'field', '.') LOOP
        v_value := CASE WHEN json_typeof(v_value) = 'object' THEN v_value -> v_key END;
    END LOOP;
    IF p_filter -> 'exists' IS NOT NULL THEN
        RETURN (COALESCE(json_typeof(v_value), 'null') <> 'null') = (p_filter ->> 'exists')::boolean;
    ELSIF v_value IS NULL THEN
        RETURN false;
    ELSIF json_typeof(v_value) <> 'array' THEN
        v_value := json_build_array(v_value);
    END IF;
    IF p_filter -> 'eq' IS NOT NULL THEN
        RETURN EXISTS (
            SELECT FROM json_array_elements(v_value) AS item WHERE hexmem.graph_equal(item, p_filter -> 'eq')
        );
    ELSIF p_filter -> 'in' IS NOT NULL THEN
        RETURN EXISTS (
            SELECT FROM json_array_elements(v_value) AS item, json_array_elements(p_filter -> 'in') AS wanted
            WHERE hexmem.graph_equal(item, wanted)
        );
    END IF;
    FOR v_part IN SELECT item FROM json_array_elements(v_value) AS item LOOP
        IF json_typeof(v_part) = 'number' THEN
            v_number := (v_part #>> '{}')::double precision;
            IF (p_filter -> 'gt' IS NULL OR v_number > (p_filter ->> 'gt')::double precision)
                AND (p_filter -> 'gte' IS NULL OR v_number >= (p_filter ->> 'gte')::double precision)
                AND (p_filter -> 'lt' IS NULL OR v_number < (p_filter ->> 'lt')::double precision)
                AND (p_filter -> 'lte' IS NULL OR v_number <= (p_filter ->> 'lte')::double precision)
            THEN
                RETURN true;
            END IF;
        END IF;
    END LOOP;
    RETURN false;
END $$;

-- What a question asks of an edge, but for its ends and what was known. Plain SQL, so that it is written into the
-- statements that ask it. p_at is NULL where every valid time will do.
CREATE FUNCTION hexmem.graph_fact(
    p_relation text, p_weight double precision, p_source text, p_from timestamptz, p_until timestamptz, p_data text,
    p_relations text[], p_least double precision, p_sources text[], p_at timestamptz, p_filter json
) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (p_relations IS NULL OR p_relation = ANY (p_relations))
        AND (p_least IS NULL OR p_weight >= p_least)
        AND (p_sources IS NULL OR p_source = ANY (p_sources))
        AND (p_at IS NULL OR ((p_from IS NULL OR p_from <= p_at) AND (p_until IS NULL OR p_until > p_at)))
        AND (p_filter IS NULL OR hexmem.graph_passes(p_data::json, p_filter))
$$;

-- Two arrays as rows. Not inlined, because it is STRICT: so the planner takes them for many and hashes them. As unnest it
-- takes them for ten, and compares each edge with each of ten thousand.
CREATE FUNCTION hexmem.graph_many(p_ids text[], p_here boolean[]) RETURNS TABLE (id text, here boolean)
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE ROWS 10000 AS 'SELECT * FROM unnest(p_ids, p_here)';

-- What lies around some nodes, breadth first: one statement a hop, all in the snapshot of the statement that calls.
-- Rows: tag 1 a node of the page, 2 one of an earlier page (o_id alone), 3 an edge; o_hops is the distance. o_more of
-- tag 0 says whether the page was cut.
CREATE FUNCTION hexmem.graph_near(
    p_digest bytea, p_seeds text[], p_hops integer, p_out boolean, p_in boolean, p_relations text[],
    p_least double precision, p_sources text[], p_edge_data json, p_kinds text[], p_node_data json,
    p_any boolean, p_at timestamptz, p_known timestamptz, p_after_hops integer, p_after text, p_room integer
) RETURNS TABLE (
    o_tag smallint, o_hops integer, o_more boolean, o_version bigint, o_created timestamptz, o_recorded timestamptz,
    o_superseded timestamptz, o_id text, o_kind text, o_data text, o_edge uuid, o_src text, o_dst text,
    o_weight double precision, o_from timestamptz, o_until timestamptz, o_source text
) LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_body    bigint := (
        SELECT body FROM hexmem.graph
        WHERE digest = p_digest AND created_at IS NOT NULL AND deleted_at IS NULL
    );
    v_at      timestamptz := CASE WHEN NOT p_any THEN COALESCE(p_at, hexmem.now()) END;
    v_layer   text[];
    v_visited text[];
    -- Up to the end of the page.
    v_kept    text[] := '{}';
    v_hops    integer[] := '{}';
    v_here    boolean[] := '{}';
    v_room    integer := p_room;
    v_before  integer;
    v_end     integer;
    v_count   integer;
    v_more    boolean := false;
BEGIN
    v_layer := ARRAY(
        SELECT id FROM (
            SELECT node.id FROM unnest(p_seeds) AS given(id)
            JOIN hexmem.graph_node AS node ON node.graph = v_body AND node.id = given.id
            WHERE p_known IS NULL OR node.recorded_at <= p_known
            UNION
            SELECT node.id FROM unnest(p_seeds) AS given(id)
            JOIN hexmem.graph_node_past AS node ON node.graph = v_body AND node.id = given.id
            WHERE p_known IS NOT NULL AND node.recorded_at <= p_known AND node.superseded_at > p_known
        ) AS seed
        ORDER BY id COLLATE "C"
    );
    v_visited := v_layer;
    FOR v_hop IN 0..p_hops LOOP
        v_count := cardinality(v_layer);
        EXIT WHEN v_count = 0;
        v_before := CASE
            WHEN v_hop < p_after_hops THEN v_count
            WHEN v_hop = p_after_hops THEN
                (SELECT count(*) FROM unnest(v_layer) AS id WHERE id COLLATE "C" <= p_after)
            ELSE 0
        END;
        v_end := LEAST(v_count, v_before + v_room);
        v_more := v_end < v_count;
        v_room := v_room - (v_end - v_before);
        v_kept := v_kept || v_layer[:v_end];
        v_hops := v_hops || array_fill(v_hop, ARRAY[v_end]);
        v_here := v_here || array_fill(false, ARRAY[v_before]) || array_fill(true, ARRAY[v_end - v_before]);
        EXIT WHEN v_more OR v_hop = p_hops;
        -- EXCEPT hashes what was visited, however few the planner takes it for.
        v_layer := ARRAY(
            SELECT ends.id FROM (
                (
                    SELECT edge.dst AS id FROM unnest(v_layer) AS here(id)
                    JOIN hexmem.graph_edge AS edge ON edge.graph = v_body AND edge.src = here.id
                    WHERE p_out AND (p_known IS NULL OR edge.recorded_at <= p_known)
                        AND hexmem.graph_fact(edge.relation, edge.weight, edge.source, edge.valid_from, edge.valid_until,
                            edge.data, p_relations, p_least, p_sources, v_at, p_edge_data)
                    UNION ALL
                    SELECT edge.src AS id FROM unnest(v_layer) AS here(id)
                    JOIN hexmem.graph_edge AS edge ON edge.graph = v_body AND edge.dst = here.id
                    WHERE p_in AND (p_known IS NULL OR edge.recorded_at <= p_known)
                        AND hexmem.graph_fact(edge.relation, edge.weight, edge.source, edge.valid_from, edge.valid_until,
                            edge.data, p_relations, p_least, p_sources, v_at, p_edge_data)
                    UNION ALL
                    SELECT edge.dst AS id FROM unnest(v_layer) AS here(id)
                    JOIN hexmem.graph_edge_past AS edge ON edge.graph = v_body AND edge.src = here.id
                    WHERE p_out AND p_known IS NOT NULL AND edge.recorded_at <= p_known AND edge.superseded_at > p_known
                        AND hexmem.graph_fact(edge.relation, edge.weight, edge.source, edge.valid_from, edge.valid_until,
                            edge.data, p_relations, p_least, p_sources, v_at, p_edge_data)
                    UNION ALL
                    SELECT edge.src AS id FROM unnest(v_layer) AS here(id)
                    JOIN hexmem.graph_edge_past AS edge ON edge.graph = v_body AND edge.dst = here.id
                    WHERE p_in AND p_known IS NOT NULL AND edge.recorded_at <= p_known AND edge.superseded_at > p_known
                        AND hexmem.graph_fact(edge.relation, edge.weight, edge.source, edge.valid_from, edge.valid_until,
                            edge.data, p_relations, p_least, p_sources, v_at, p_edge_data)
                )
                EXCEPT
                SELECT unnest(v_visited)
            ) AS ends
            WHERE EXISTS (
                SELECT FROM hexmem.graph_node AS node
                WHERE node.graph = v_body AND node.id = ends.id
                    AND (p_known IS NULL OR node.recorded_at <= p_known)
                    AND (p_kinds IS NULL OR node.kind = ANY (p_kinds))
                    AND (p_node_data IS NULL OR hexmem.graph_passes(node.data::json, p_node_data))
            ) OR p_known IS NOT NULL AND EXISTS (
                SELECT FROM hexmem.graph_node_past AS node
                WHERE node.graph = v_body AND node.id = ends.id
                    AND node.recorded_at <= p_known AND node.superseded_at > p_known
                    AND (p_kinds IS NULL OR node.kind = ANY (p_kinds))
                    AND (p_node_data IS NULL OR hexmem.graph_passes(node.data::json, p_node_data))
            )
            ORDER BY ends.id COLLATE "C"
        );
        v_visited := v_visited || v_layer;
    END LOOP;
    o_tag := 0;
    o_more := v_more;
    RETURN NEXT;
    RETURN QUERY
        SELECT CASE WHEN kept.here THEN 1::smallint ELSE 2::smallint END, kept.hops, NULL::boolean, node.version,
            node.created_at, node.recorded_at, NULL::timestamptz, kept.id,
            CASE WHEN kept.here THEN node.kind END, CASE WHEN kept.here THEN node.data END, NULL::uuid, NULL::text,
            NULL::text, NULL::double precision, NULL::timestamptz, NULL::timestamptz, NULL::text
        FROM unnest(v_kept, v_hops, v_here) AS kept(id, hops, here)
        JOIN hexmem.graph_node AS node ON node.graph = v_body AND node.id = kept.id
        WHERE p_known IS NULL OR node.recorded_at <= p_known
        UNION ALL
        SELECT CASE WHEN kept.here THEN 1::smallint ELSE 2::smallint END, kept.hops, NULL::boolean, node.version,
            node.created_at, node.recorded_at, node.superseded_at, kept.id,
            CASE WHEN kept.here THEN node.kind END, CASE WHEN kept.here THEN node.data END, NULL::uuid, NULL::text,
            NULL::text, NULL::double precision, NULL::timestamptz, NULL::timestamptz, NULL::text
        FROM unnest(v_kept, v_hops, v_here) AS kept(id, hops, here)
        JOIN hexmem.graph_node_past AS node ON node.graph = v_body AND node.id = kept.id
        WHERE p_known IS NOT NULL AND node.recorded_at <= p_known AND node.superseded_at > p_known;
    RETURN QUERY
        SELECT 3::smallint, NULL::integer, NULL::boolean, edge.version, edge.created_at, edge.recorded_at,
            NULL::timestamptz, NULL::text, edge.relation, edge.data, edge.id, edge.src, edge.dst, edge.weight,
            edge.valid_from, edge.valid_until, edge.source
        FROM unnest(v_kept, v_here) AS one(id, here)
        JOIN hexmem.graph_edge AS edge ON edge.graph = v_body AND edge.src = one.id
        JOIN hexmem.graph_many(v_kept, v_here) AS other ON other.id = edge.dst
        WHERE (one.here OR other.here) AND (p_known IS NULL OR edge.recorded_at <= p_known)
            AND hexmem.graph_fact(edge.relation, edge.weight, edge.source, edge.valid_from, edge.valid_until,
                edge.data, p_relations, p_least, p_sources, v_at, p_edge_data)
        UNION ALL
        SELECT 3::smallint, NULL::integer, NULL::boolean, edge.version, edge.created_at, edge.recorded_at,
            edge.superseded_at, NULL::text, edge.relation, edge.data, edge.id, edge.src, edge.dst, edge.weight,
            edge.valid_from, edge.valid_until, edge.source
        FROM unnest(v_kept, v_here) AS one(id, here)
        JOIN hexmem.graph_edge_past AS edge ON edge.graph = v_body AND edge.src = one.id
        JOIN hexmem.graph_many(v_kept, v_here) AS other ON other.id = edge.dst
        WHERE p_known IS NOT NULL AND edge.recorded_at <= p_known AND edge.superseded_at > p_known
            AND (one.here OR other.here)
            AND hexmem.graph_fact(edge.relation, edge.weight, edge.source, edge.valid_from, edge.valid_until,
                edge.data, p_relations, p_least, p_sources, v_at, p_edge_data);
END $$;
