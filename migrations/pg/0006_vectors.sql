-- Collections, aliases and points.
--
-- Within a collection each point written gets a number (its ord), never used again: the rows of an ord never change,
-- they only go. So a search may read the points that it found in a later statement, and sees when one has gone.
--
-- Lists say which points have a sparse index or a value of an indexed field. A list's name is its channel * 2^32 + the
-- index (or the value's term). Channels of a collection: its dense vectors from 1 on, then its sparse vectors, then its
-- indexed fields, each in order of name. A list lies in blocks; block 0 grows until it is full and then gets a number of
-- its own. What a removed point leaves in blocks is told by vector_dead until the blocks are tidied.

CREATE TABLE hexmem.vector_collections (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- SHA-256 of tenant and name.
    key_hash    bytea NOT NULL UNIQUE,
    tenant      text COLLATE "C" NOT NULL,
    name        text COLLATE "C" NOT NULL,
    -- Of the last creation or drop.
    version     bigint NOT NULL,
    modified_at timestamptz NOT NULL,
    -- The highest version given under this name.
    revision    bigint NOT NULL,
    -- The stamp; NULL: it was dropped.
    spec        text,
    points      bigint NOT NULL,
    -- How many points have each sparse vector, in order of name.
    populations bigint[] NOT NULL,
    -- How many dense vectors the stamp has: channels 1 to this one.
    dense_count smallint NOT NULL,
    -- Rows of vector_dead.
    dead        bigint NOT NULL,
    -- A walk through the blocks that leaves out what is dead: the block it is at, and the last place in vector_dead
    -- that it knows of. NULL: there is none.
    tidy_list   bigint,
    tidy_chunk  integer,
    tidy_place  bigint
) WITH (fillfactor = 60);

CREATE INDEX vector_collections_name ON hexmem.vector_collections (tenant, name) WHERE spec IS NOT NULL;

-- The next ord, apart from the collection's row: reserving some waits for no writer.
CREATE TABLE hexmem.vector_ords (
    collection bigint PRIMARY KEY,
    next       integer NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE hexmem.vector_aliases (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key_hash    bytea NOT NULL UNIQUE,
    tenant      text COLLATE "C" NOT NULL,
    name        text COLLATE "C" NOT NULL,
    version     bigint NOT NULL,
    modified_at timestamptz NOT NULL,
    -- NULL: it was removed.
    target      text COLLATE "C",
    target_hash bytea
);

CREATE INDEX vector_aliases_target ON hexmem.vector_aliases (target_hash) WHERE target_hash IS NOT NULL;

CREATE TABLE hexmem.vector_points (
    collection  bigint NOT NULL,
    ord         integer NOT NULL,
    id          uuid NOT NULL,
    version     bigint NOT NULL,
    modified_at timestamptz NOT NULL,
    -- json, not jsonb: kept as the text it was.
    payload     json NOT NULL,
    -- The sparse vectors, packed; NULL without.
    sparse      bytea,
    -- Which sparse vectors it has: places in populations.
    members     smallint[] NOT NULL,
    PRIMARY KEY (collection, ord)
);

CREATE UNIQUE INDEX vector_points_id ON hexmem.vector_points (collection, id);

-- Tombstones, for copies.
CREATE TABLE hexmem.vector_gone (
    collection bigint NOT NULL,
    id         uuid NOT NULL,
    version    bigint NOT NULL,
    deleted_at timestamptz NOT NULL,
    PRIMARY KEY (collection, id)
);

-- Rows of up to a page stay whole: a scan reads them one after the other, without a look-up each.
CREATE TABLE hexmem.vector_dense (
    collection bigint NOT NULL,
    channel    smallint NOT NULL,
    ord        integer NOT NULL,
    -- Little-endian f32.
    embedding  bytea NOT NULL,
    PRIMARY KEY (collection, channel, ord)
) WITH (toast_tuple_target = 8160);
ALTER TABLE hexmem.vector_dense ALTER COLUMN embedding SET STORAGE EXTERNAL;

CREATE TABLE hexmem.vector_lists (
    collection bigint NOT NULL,
    list       bigint NOT NULL,
    -- 0: the block that grows.
    chunk      integer NOT NULL,
    -- Of each point its ord, and in lists of sparse vectors its value as f32; little-endian, 4 bytes each.
    block      bytea NOT NULL,
    PRIMARY KEY (collection, list, chunk)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05, toast_tuple_target = 8160);
ALTER TABLE hexmem.vector_lists ALTER COLUMN block SET STORAGE EXTERNAL;

CREATE TABLE hexmem.vector_dead (
    collection bigint NOT NULL,
    -- In order of removal.
    place      bigint GENERATED ALWAYS AS IDENTITY,
    ord        integer NOT NULL,
    PRIMARY KEY (collection, place)
);

-- Indexes of dense vectors: each is a table of its own, vector_index_<collection>_<channel>, because an approximate
-- index over many collections would lose what a small one has.
CREATE TABLE hexmem.vector_indexes (
    collection bigint NOT NULL,
    channel    smallint NOT NULL,
    -- cosine, dot or euclid.
    distance   text NOT NULL,
    dimension  integer NOT NULL,
    PRIMARY KEY (collection, channel)
);

-- The collection that a name reaches: its own, or its alias's.
CREATE FUNCTION hexmem.vector_reach(name_hash bytea) RETURNS bigint
LANGUAGE sql STABLE AS $$
    SELECT found.id
    FROM (
        SELECT c.id, 0 AS rank FROM hexmem.vector_collections c
        WHERE c.key_hash = name_hash AND c.spec IS NOT NULL
        UNION ALL
        SELECT c.id, 1 FROM hexmem.vector_aliases a
        JOIN hexmem.vector_collections c ON c.key_hash = a.target_hash
        WHERE a.key_hash = name_hash AND c.spec IS NOT NULL
    ) found
    ORDER BY found.rank LIMIT 1
$$;

-- One creation, alias or drop of a name at a time. Names are taken in order of their digest: no two wait for each other.
CREATE FUNCTION hexmem.vector_lock_name(name_hash bytea) RETURNS void
LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock(('x' || encode(substring(name_hash FROM 1 FOR 8), 'hex'))::bit(64)::bigint)
$$;

-- What a life of a collection left. Its indexes go as tables.
CREATE FUNCTION hexmem.vector_clear(one bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    own record;
BEGIN
    DELETE FROM hexmem.vector_points WHERE collection = one;
    DELETE FROM hexmem.vector_gone WHERE collection = one;
    DELETE FROM hexmem.vector_dense WHERE collection = one;
    DELETE FROM hexmem.vector_lists WHERE collection = one;
    DELETE FROM hexmem.vector_dead WHERE collection = one;
    FOR own IN DELETE FROM hexmem.vector_indexes WHERE collection = one RETURNING channel LOOP
        EXECUTE format('DROP TABLE IF EXISTS hexmem.vector_index_%s_%s', one, own.channel);
    END LOOP;
END
$$;

-- Begins a life of the name (with a stamp), or ends one; whatever was in it goes. The name is locked by the caller.
CREATE FUNCTION hexmem.vector_begin(
    name_hash bytea, its_tenant text, its_name text, its_version bigint, its_time timestamptz, its_spec text,
    dense_vectors smallint, sparse_vectors integer
) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    one bigint;
BEGIN
    INSERT INTO hexmem.vector_collections AS c
        (key_hash, tenant, name, version, modified_at, revision, spec, points, populations, dense_count, dead)
    VALUES (
        name_hash, its_tenant, its_name, its_version, its_time, its_version, its_spec, 0,
        array_fill(0::bigint, ARRAY[sparse_vectors]), dense_vectors, 0
    )
    ON CONFLICT (key_hash) DO UPDATE SET
        version = excluded.version, modified_at = excluded.modified_at,
        revision = greatest(c.revision, excluded.revision), spec = excluded.spec, points = 0,
        populations = excluded.populations, dense_count = excluded.dense_count, dead = 0, tidy_list = NULL,
        tidy_chunk = NULL, tidy_place = NULL
    RETURNING c.id INTO one;
    PERFORM hexmem.vector_clear(one);
    INSERT INTO hexmem.vector_ords (collection, next) VALUES (one, 0) ON CONFLICT (collection) DO NOTHING;
    RETURN one;
END
$$;

-- The schema of pgvector in this database, quoted; NULL where it is missing or older than 0.8, which is the first whose
-- filtered searches go on until enough is found.
CREATE FUNCTION hexmem.vector_extension() RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT quote_ident(n.nspname) FROM pg_catalog.pg_extension e
    JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
    WHERE e.extname = 'vector' AND string_to_array(substring(e.extversion FROM '^[0-9.]+'), '.')::integer[] >= ARRAY[0, 8]
$$;

-- The type and the operators of an index. Cosines are inner products of normalised vectors, in half precision.
CREATE FUNCTION hexmem.vector_index_kind(distance text, dimension integer, OUT type text, OUT operator text, OUT class text)
LANGUAGE sql STABLE AS $$
    SELECT
        format('%s.%s(%s)', own.schema, own.base, dimension),
        format('OPERATOR(%s.%s)', own.schema, CASE distance WHEN 'euclid' THEN '<->' ELSE '<#>' END),
        format('%s.%s_%s_ops', own.schema, own.base, CASE distance WHEN 'euclid' THEN 'l2' ELSE 'ip' END)
    FROM (
        SELECT hexmem.vector_extension() AS schema, CASE distance WHEN 'cosine' THEN 'halfvec' ELSE 'vector' END AS base
    ) own
$$;

-- The table of an index, empty and not linked yet. false: the extension is missing, or this role may not make tables;
-- searches compare every vector. The collection's row is locked by the caller.
CREATE FUNCTION hexmem.vector_index_table(one bigint, its_channel smallint, its_distance text, its_dimension integer)
RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    kind record;
BEGIN
    IF hexmem.vector_extension() IS NULL THEN
        RETURN false;
    END IF;
    SELECT * INTO kind FROM hexmem.vector_index_kind(its_distance, its_dimension);
    -- What a removed extension left.
    EXECUTE format('DROP TABLE IF EXISTS hexmem.vector_index_%s_%s', one, its_channel);
    EXECUTE format(
        'CREATE TABLE hexmem.vector_index_%s_%s (ord integer PRIMARY KEY, embedding %s NOT NULL)',
        one, its_channel, kind.type
    );
    INSERT INTO hexmem.vector_indexes (collection, channel, distance, dimension)
    VALUES (one, its_channel, its_distance, its_dimension)
    ON CONFLICT (collection, channel) DO NOTHING;
    RETURN true;
EXCEPTION
    WHEN insufficient_privilege THEN
        RETURN false;
END
$$;

-- The graph of near ones over what the table holds: faster than link by link as vectors come.
CREATE FUNCTION hexmem.vector_index_link(one bigint, its_channel smallint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    kind record;
BEGIN
    SELECT k.* INTO kind
    FROM hexmem.vector_indexes i, hexmem.vector_index_kind(i.distance, i.dimension) k
    WHERE i.collection = one AND i.channel = its_channel;
    EXECUTE format(
        'CREATE INDEX vector_index_%1$s_%2$s_near ON hexmem.vector_index_%1$s_%2$s USING hnsw (embedding %3$s)',
        one, its_channel, kind.class
    );
END
$$;

-- An index that is filled as vectors come.
CREATE FUNCTION hexmem.vector_index_make(one bigint, its_channel smallint, its_distance text, its_dimension integer)
RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF hexmem.vector_index_table(one, its_channel, its_distance, its_dimension) THEN
        PERFORM hexmem.vector_index_link(one, its_channel);
    END IF;
END
$$;

-- Adds vectors to an index: those of ords, one after the other in numbers.
CREATE FUNCTION hexmem.vector_index_add(one bigint, its_channel smallint, ords integer[], numbers real[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    own record;
    kind record;
BEGIN
    SELECT * INTO own FROM hexmem.vector_indexes i WHERE i.collection = one AND i.channel = its_channel;
    IF NOT FOUND OR hexmem.vector_extension() IS NULL THEN
        DELETE FROM hexmem.vector_indexes i WHERE i.collection = one AND i.channel = its_channel;
        RETURN;
    END IF;
    SELECT * INTO kind FROM hexmem.vector_index_kind(own.distance, own.dimension);
    EXECUTE format(
        'INSERT INTO hexmem.vector_index_%s_%s (ord, embedding) '
        'SELECT o.ord, ($2)[(o.at::integer - 1) * %s + 1 : o.at::integer * %3$s]::%4$s '
        'FROM unnest($1) WITH ORDINALITY o (ord, at)',
        one, its_channel, own.dimension, kind.type
    ) USING ords, numbers;
EXCEPTION
    -- The extension was removed, and the vectors with it: there is no index any more.
    WHEN undefined_column OR undefined_object OR undefined_table THEN
        DELETE FROM hexmem.vector_indexes i WHERE i.collection = one AND i.channel = its_channel;
END
$$;

-- The places of the nearest, nearest first. Stable: it sees what the statement sees that asks. Settings hold for its
-- transaction.
CREATE FUNCTION hexmem.vector_index_near(one bigint, its_channel smallint, query real[], wanted integer, breadth integer)
RETURNS integer[]
LANGUAGE plpgsql STABLE AS $$
DECLARE
    own record;
    kind record;
    nearest integer[];
BEGIN
    SELECT * INTO own FROM hexmem.vector_indexes i WHERE i.collection = one AND i.channel = its_channel;
    IF NOT FOUND OR hexmem.vector_extension() IS NULL THEN
        RETURN NULL;
    END IF;
    PERFORM set_config('hnsw.ef_search', breadth::text, true);
    -- Removed points lie in the index until it is vacuumed: without going on, they would take the place of others.
    PERFORM set_config('hnsw.iterative_scan', 'strict_order', true);
    SELECT * INTO kind FROM hexmem.vector_index_kind(own.distance, own.dimension);
    EXECUTE format(
        'SELECT array_agg(n.ord) FROM (SELECT i.ord FROM hexmem.vector_index_%s_%s i '
        'ORDER BY i.embedding %s ($1::%s) LIMIT $2) n',
        one, its_channel, kind.operator, kind.type
    ) INTO nearest USING query, wanted;
    RETURN nearest;
EXCEPTION
    -- The extension was removed: whoever asks compares every vector.
    WHEN undefined_column OR undefined_object OR undefined_table THEN
        RETURN NULL;
END
$$;

-- outcome: created, exists (with its stamp), alias. Indexes are made for the dense vectors that are named.
CREATE FUNCTION hexmem.vector_create(
    name_hash bytea, its_tenant text, its_name text, its_spec text, dense_vectors smallint, sparse_vectors integer,
    index_channels smallint[], index_distances text[], index_dimensions integer[],
    OUT outcome text, OUT existing text, OUT one bigint
)
LANGUAGE plpgsql AS $$
DECLARE
    last bigint;
BEGIN
    PERFORM hexmem.vector_lock_name(name_hash);
    IF EXISTS (SELECT FROM hexmem.vector_aliases a WHERE a.key_hash = name_hash AND a.target IS NOT NULL) THEN
        outcome := 'alias';
        RETURN;
    END IF;
    SELECT c.spec, c.revision INTO existing, last
    FROM hexmem.vector_collections c WHERE c.key_hash = name_hash FOR UPDATE;
    IF existing IS NOT NULL THEN
        outcome := 'exists';
        RETURN;
    END IF;
    outcome := 'created';
    one := hexmem.vector_begin(
        name_hash, its_tenant, its_name, coalesce(last, 0) + 1, hexmem.now(), its_spec, dense_vectors,
        sparse_vectors
    );
    PERFORM hexmem.vector_index_make(one, i.channel, i.distance, i.dimension)
    FROM unnest(index_channels, index_distances, index_dimensions) i (channel, distance, dimension);
END
$$;

CREATE FUNCTION hexmem.vector_drop(name_hash bytea) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    there record;
    present timestamptz;
BEGIN
    PERFORM hexmem.vector_lock_name(name_hash);
    SELECT * INTO there
    FROM hexmem.vector_collections c WHERE c.key_hash = name_hash AND c.spec IS NOT NULL FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    present := hexmem.now();
    PERFORM hexmem.vector_begin(name_hash, there.tenant, there.name, there.revision + 1, present, NULL, 0::smallint, 0);
    UPDATE hexmem.vector_aliases
    SET target = NULL, target_hash = NULL, version = version + 1, modified_at = present
    WHERE target_hash = name_hash;
    RETURN true;
END
$$;

-- outcome: done, collection (the name is one), absent (the target is not there).
CREATE FUNCTION hexmem.vector_alias(
    name_hash bytea, its_tenant text, its_name text, its_target text, its_target_hash bytea
) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    held record;
BEGIN
    PERFORM hexmem.vector_lock_name(least(name_hash, its_target_hash));
    PERFORM hexmem.vector_lock_name(greatest(name_hash, its_target_hash));
    IF its_target IS NOT NULL THEN
        IF EXISTS (SELECT FROM hexmem.vector_collections c WHERE c.key_hash = name_hash AND c.spec IS NOT NULL) THEN
            RETURN 'collection';
        END IF;
        IF NOT EXISTS (
            SELECT FROM hexmem.vector_collections c WHERE c.key_hash = its_target_hash AND c.spec IS NOT NULL
        ) THEN
            RETURN 'absent';
        END IF;
    END IF;
    SELECT a.target INTO held FROM hexmem.vector_aliases a WHERE a.key_hash = name_hash FOR UPDATE;
    IF held.target IS NOT DISTINCT FROM its_target THEN
        RETURN 'done';
    END IF;
    INSERT INTO hexmem.vector_aliases AS a (key_hash, tenant, name, version, modified_at, target, target_hash)
    VALUES (name_hash, its_tenant, its_name, 1, hexmem.now(), its_target, its_target_hash)
    ON CONFLICT (key_hash) DO UPDATE SET
        version = a.version + 1, modified_at = excluded.modified_at, target = excluded.target,
        target_hash = excluded.target_hash;
    RETURN 'done';
END
$$;

-- Takes points out of the tables and out of the indexes; what blocks say of them is dead. The collection's row is
-- locked by the caller. Says which ids went, and which sparse vectors with them.
CREATE FUNCTION hexmem.vector_take(
    one bigint, dense_vectors smallint, ords integer[], OUT ids uuid[], OUT places smallint[]
)
LANGUAGE plpgsql AS $$
DECLARE
    gone integer[];
    own record;
BEGIN
    WITH old AS (
        DELETE FROM hexmem.vector_points p WHERE p.collection = one AND p.ord = ANY (ords)
        RETURNING p.id, p.ord, p.members
    )
    SELECT array_agg(old.id), array_agg(old.ord), (SELECT array_agg(m) FROM old o, unnest(o.members) m)
    INTO ids, gone, places
    FROM old;
    IF gone IS NULL THEN
        RETURN;
    END IF;
    DELETE FROM hexmem.vector_dense d
    WHERE d.collection = one AND d.channel = ANY (ARRAY(SELECT generate_series(1, dense_vectors)))
        AND d.ord = ANY (gone);
    INSERT INTO hexmem.vector_dead (collection, ord) SELECT one, o FROM unnest(gone) o;
    FOR own IN SELECT i.channel FROM hexmem.vector_indexes i WHERE i.collection = one LOOP
        EXECUTE format('DELETE FROM hexmem.vector_index_%s_%s WHERE ord = ANY ($1)', one, own.channel) USING gone;
    END LOOP;
END
$$;

-- The counts of a collection after points came and went.
CREATE FUNCTION hexmem.vector_count(
    one bigint, its_revision bigint, added integer, removed integer, places_added smallint[], places_removed smallint[]
) RETURNS void
LANGUAGE sql AS $$
    UPDATE hexmem.vector_collections c SET
        revision = greatest(c.revision, its_revision),
        points = c.points + added - removed,
        dead = c.dead + removed,
        populations = ARRAY(
            SELECT p.points + coalesce(a.points, 0) - coalesce(r.points, 0)
            FROM unnest(c.populations) WITH ORDINALITY p (points, place)
            LEFT JOIN (SELECT place, count(*) AS points FROM unnest(places_added) place GROUP BY 1) a USING (place)
            LEFT JOIN (SELECT place, count(*) AS points FROM unnest(places_removed) place GROUP BY 1) r USING (place)
            ORDER BY p.place
        )
    WHERE c.id = one
$$;

-- Writes points under ords that were reserved from base on. Gives how many removed points blocks still name; NULL, and
-- nothing is written: the collection has another life by now, or an index that the caller did not know of and has not
-- put the points into. Without versions and times (those of a restore) they are the next version and now.
CREATE FUNCTION hexmem.vector_write(
    one bigint, life bigint, base integer, ids uuid[], versions bigint[], times timestamptz[], payloads text[],
    sparse bytea[], members text[], dense_channels smallint[], dense_ords integer[], embeddings bytea[],
    lists bigint[], chunks integer[], blocks bytea[], block_limit integer, known_indexes smallint[]
) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    there record;
    old record;
    present timestamptz;
    next bigint;
    points integer := cardinality(ids);
BEGIN
    SELECT c.revision, c.dense_count, c.dead INTO there
    FROM hexmem.vector_collections c WHERE c.id = one AND c.version = life AND c.spec IS NOT NULL FOR UPDATE;
    IF NOT FOUND OR EXISTS (
        SELECT FROM hexmem.vector_indexes i WHERE i.collection = one AND i.channel <> ALL (known_indexes)
    ) THEN
        RETURN NULL;
    END IF;
    present := hexmem.now();
    next := there.revision + 1;
    SELECT * INTO old FROM hexmem.vector_take(one, there.dense_count, ARRAY(
        SELECT p.ord FROM hexmem.vector_points p WHERE p.collection = one AND p.id = ANY (vector_write.ids)
    ));
    DELETE FROM hexmem.vector_gone g WHERE g.collection = one AND g.id = ANY (vector_write.ids);
    INSERT INTO hexmem.vector_points (collection, ord, id, version, modified_at, payload, sparse, members)
    SELECT
        one, base + row.at::integer - 1, row.id, coalesce(row.version, next), coalesce(row.modified_at, present),
        row.payload::json, row.sparse, row.members::smallint[]
    FROM unnest(vector_write.ids, versions, times, payloads, vector_write.sparse, vector_write.members)
        WITH ORDINALITY row (id, version, modified_at, payload, sparse, members, at);
    INSERT INTO hexmem.vector_dense (collection, channel, ord, embedding)
    SELECT one, row.channel, row.ord, row.embedding
    FROM unnest(dense_channels, dense_ords, embeddings) row (channel, ord, embedding);
    INSERT INTO hexmem.vector_lists AS l (collection, list, chunk, block)
    SELECT one, row.list, row.chunk, row.block FROM unnest(lists, chunks, blocks) row (list, chunk, block)
    ON CONFLICT (collection, list, chunk) DO UPDATE SET block = l.block || excluded.block;
    -- A full block gets a number that no other batch can give: within this one's ords, which are more than its blocks.
    UPDATE hexmem.vector_lists l SET chunk = base + points
    FROM (SELECT DISTINCT o FROM unnest(lists) o) row (list)
    WHERE l.collection = one AND l.list = row.list AND l.chunk = 0 AND length(l.block) > block_limit;
    PERFORM hexmem.vector_count(
        one, greatest(next, (SELECT max(v) FROM unnest(versions) v)), points, coalesce(cardinality(old.ids), 0),
        ARRAY(SELECT m FROM unnest(vector_write.members) row (own), unnest(row.own::smallint[]) m), old.places
    );
    RETURN there.dead + coalesce(cardinality(old.ids), 0);
END
$$;

-- Removes points: by id, or exactly those of one life of a collection at some places. Nothing comes back where there is
-- no such collection.
CREATE FUNCTION hexmem.vector_remove(
    name_hash bytea, life bigint, doomed uuid[], places integer[],
    OUT one bigint, OUT removed integer, OUT dead bigint, OUT held bigint
)
LANGUAGE plpgsql AS $$
DECLARE
    there record;
    old record;
    present timestamptz;
BEGIN
    SELECT c.id, c.revision, c.dense_count, c.dead, c.points INTO there
    FROM hexmem.vector_collections c
    WHERE c.id = hexmem.vector_reach(name_hash) AND c.spec IS NOT NULL AND c.version = coalesce(life, c.version)
    FOR UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    present := hexmem.now();
    SELECT * INTO old FROM hexmem.vector_take(there.id, there.dense_count, coalesce(vector_remove.places, ARRAY(
        SELECT p.ord FROM hexmem.vector_points p WHERE p.collection = there.id AND p.id = ANY (doomed)
    )));
    one := there.id;
    removed := coalesce(cardinality(old.ids), 0);
    dead := there.dead + removed;
    held := there.points - removed;
    IF removed > 0 THEN
        INSERT INTO hexmem.vector_gone (collection, id, version, deleted_at)
        SELECT there.id, i, there.revision + 1, present FROM unnest(old.ids) i;
        PERFORM hexmem.vector_count(there.id, there.revision + 1, 0, removed, '{}', old.places);
    END IF;
END
$$;

-- A collection's record, over what is older; whether it was. The name is locked by the caller.
CREATE FUNCTION hexmem.vector_restore_collection(
    name_hash bytea, its_tenant text, its_name text, its_version bigint, its_time timestamptz, its_spec text,
    dense_vectors smallint, sparse_vectors integer,
    index_channels smallint[], index_distances text[], index_dimensions integer[]
) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    held record;
    one bigint;
BEGIN
    SELECT c.version, c.modified_at INTO held
    FROM hexmem.vector_collections c WHERE c.key_hash = name_hash FOR UPDATE;
    IF FOUND AND (its_version, its_time) <= (held.version, held.modified_at) THEN
        RETURN false;
    END IF;
    one := hexmem.vector_begin(
        name_hash, its_tenant, its_name, its_version, its_time, its_spec, dense_vectors, sparse_vectors
    );
    PERFORM hexmem.vector_index_make(one, i.channel, i.distance, i.dimension)
    FROM unnest(index_channels, index_distances, index_dimensions) i (channel, distance, dimension);
    RETURN true;
END
$$;

-- Tombstones of a restore, with the points that they remove. The collection's row is locked by the caller.
CREATE FUNCTION hexmem.vector_bury(one bigint, doomed uuid[], versions bigint[], times timestamptz[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    dense_vectors smallint;
    old record;
BEGIN
    SELECT c.dense_count INTO dense_vectors FROM hexmem.vector_collections c WHERE c.id = one;
    SELECT * INTO old FROM hexmem.vector_take(one, dense_vectors, ARRAY(
        SELECT p.ord FROM hexmem.vector_points p WHERE p.collection = one AND p.id = ANY (doomed)
    ));
    INSERT INTO hexmem.vector_gone (collection, id, version, deleted_at)
    SELECT one, t.id, t.version, t.at FROM unnest(doomed, versions, times) t (id, version, at)
    ON CONFLICT (collection, id) DO UPDATE SET version = excluded.version, deleted_at = excluded.deleted_at;
    PERFORM hexmem.vector_count(
        one, (SELECT max(v) FROM unnest(versions) v), 0, coalesce(cardinality(old.ids), 0), '{}', old.places
    );
END
$$;
