-- Cached answers, the generations of their tags, flights and counters.

-- The generation of a tag of a namespace: 128 random bits. An answer is served while each generation that it was stored
-- with is the current one of that tag, so invalidating a tag writes this one row, however many answers hang on it.
CREATE TABLE hexmem.cache_tags (
    -- SHA-256 of tenant, namespace, kind and name.
    digest      bytea       PRIMARY KEY,
    -- SHA-256 of tenant and namespace.
    room        bytea       NOT NULL,
    tenant      text        COLLATE "C" NOT NULL,
    namespace   text        COLLATE "C" NOT NULL,
    -- namespace, model:NAME or tag:NAME.
    tag         text        COLLATE "C" NOT NULL,
    generation  uuid        NOT NULL,
    version     bigint      NOT NULL,
    modified_at timestamptz NOT NULL
);

-- Not unique: a namespace that was copied has the generations of the original.
CREATE INDEX cache_tags_generation ON hexmem.cache_tags (generation);

-- A key: its answer (from stored_at on; all NULL in a tombstone) and its last invalidation.
CREATE TABLE hexmem.cache_entries (
    -- SHA-256 of tenant, namespace and fingerprint.
    digest           bytea       PRIMARY KEY,
    room             bytea       NOT NULL,
    tenant           text        COLLATE "C" NOT NULL,
    namespace        text        COLLATE "C" NOT NULL,
    fingerprint      bytea       NOT NULL,
    version          bigint      NOT NULL,
    modified_at      timestamptz NOT NULL,
    -- Counts while remembered_until is to come. Without one it is what the ticket of the put had, and means nothing.
    invalidation     uuid,
    remembered_until timestamptz,
    -- The tags as cache_tags has them, sorted, and their generations in the same order.
    tags             text[]      COLLATE "C",
    generations      uuid[],
    stored_at        timestamptz,
    fresh_until      timestamptz,
    expires_at       timestamptz,
    meta             text,
    -- Compressed and kept apart by the server where it is long.
    value            bytea
);

-- By generation: what ends with a tag, to be counted and freed. GIN rather than a table of pairs: measured on 50,000
-- answers of three tags it has 0.5 MB against 23, counts 10,000 answers in a fifth of the time, and costs a put the same.
-- Without its list of pending entries: that would make each count read the list, and now and then a put wait for it.
CREATE INDEX cache_entries_generations ON hexmem.cache_entries USING gin (generations) WITH (fastupdate = off);
CREATE INDEX cache_entries_expiry ON hexmem.cache_entries (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX cache_entries_tombstone ON hexmem.cache_entries (remembered_until) WHERE expires_at IS NULL;

-- Generations that were replaced, whose answers wait to be freed.
CREATE TABLE hexmem.cache_ended (
    generation uuid        NOT NULL,
    room       bytea       NOT NULL,
    tag        text        COLLATE "C" NOT NULL,
    ended_at   timestamptz NOT NULL,
    -- All its answers were freed. It stays a while for those that a put under way may still add.
    drained    boolean     NOT NULL DEFAULT false,
    PRIMARY KEY (generation, room, tag)
);

CREATE INDEX cache_ended_open ON hexmem.cache_ended (ended_at) WHERE NOT drained;
CREATE INDEX cache_ended_drained ON hexmem.cache_ended (ended_at) WHERE drained;

-- Who computes an answer, alone among processes. Unlogged: after a crash of the server another computes it once more,
-- which is what a lease allows anyway.
CREATE UNLOGGED TABLE hexmem.cache_flights (
    digest     bytea       PRIMARY KEY,
    lease      uuid        NOT NULL,
    expires_at timestamptz NOT NULL
);

CREATE INDEX cache_flights_expiry ON hexmem.cache_flights (expires_at);

-- What is counted: written out of band, a few rows for thousands of lookups.
CREATE TABLE hexmem.cache_counters (
    -- SHA-256 of tenant and namespace.
    room   bytea NOT NULL,
    -- namespace, model or tag.
    kind   text  COLLATE "C" NOT NULL,
    -- Empty for the namespace, and for the names of a room that have no counts of their own.
    name   text  COLLATE "C" NOT NULL,
    -- Counts by name; one that is not there is 0.
    counts jsonb NOT NULL,
    PRIMARY KEY (room, kind, name)
)
WITH (fillfactor = 80);

-- Whether each generation is still the current one of its tag. VOLATILE: asked by a put after it holds the row of its key,
-- it sees what was invalidated since the put began.
CREATE FUNCTION hexmem.cache_current(p_room bytea, p_tags text[], p_generations uuid[]) RETURNS boolean
LANGUAGE sql VOLATILE AS $$
    SELECT NOT EXISTS (
        SELECT
        FROM unnest(p_tags, p_generations) AS bound (tag, generation)
        WHERE 0 = (
            SELECT count(*)
            FROM hexmem.cache_tags AS t
            WHERE t.generation = bound.generation AND t.room = p_room AND t.tag = bound.tag
        )
    )
$$;

-- Gives a tag another generation. ended: how many answers could be served until then, NULL where there are more than
-- p_most: an invalidation must not take longer, or time out, for a number. A function, because the generation that ends is
-- known only when the tag is locked.
CREATE FUNCTION hexmem.cache_end_tag(
    p_digest bytea, p_room bytea, p_tenant text, p_namespace text, p_tag text, p_generation uuid, p_most bigint,
    OUT ended bigint
)
LANGUAGE plpgsql
-- To stop at the first of many rows looks cheap without the index, and is not where there are none.
SET enable_seqscan = off AS $$
DECLARE
    v_now    timestamptz;
    v_before uuid;
BEGIN
    LOOP
        SELECT t.generation INTO v_before FROM hexmem.cache_tags AS t WHERE t.digest = p_digest FOR UPDATE;
        EXIT WHEN FOUND;
        -- Also where nobody knows it yet: a record of before the invalidation that comes later is older than this row.
        v_now := hexmem.now();
        INSERT INTO hexmem.cache_tags (digest, room, tenant, namespace, tag, generation, version, modified_at)
        VALUES (p_digest, p_room, p_tenant, p_namespace, p_tag, p_generation,
            hexmem.micros(v_now) / 1000, v_now)
        ON CONFLICT (digest) DO NOTHING;
        IF FOUND THEN
            ended := 0;
            RETURN;
        END IF;
    END LOOP;
    v_now := hexmem.now();
    WITH bound AS MATERIALIZED (
        SELECT e.tags, e.generations
        FROM hexmem.cache_entries AS e
        WHERE e.generations @> ARRAY[v_before] AND e.room = p_room AND e.expires_at > v_now
        LIMIT p_most + 1
    ),
    -- Thousands of answers share a few generations: each is looked up once.
    outdated AS (
        SELECT coalesce(array_agg(pair.generation), '{}') AS generations
        FROM (
            SELECT DISTINCT u.tag, u.generation
            FROM bound
            CROSS JOIN LATERAL unnest(bound.tags, bound.generations) AS u (tag, generation)
        ) AS pair
        WHERE NOT EXISTS (
            SELECT
            FROM hexmem.cache_tags AS t
            WHERE t.generation = pair.generation AND t.room = p_room AND t.tag = pair.tag
        )
    )
    SELECT CASE WHEN count(*) <= p_most THEN
        count(*) FILTER (WHERE NOT bound.generations && (SELECT outdated.generations FROM outdated))
    END
    INTO ended
    FROM bound;
    UPDATE hexmem.cache_tags AS t
    SET generation = p_generation,
        version = greatest(t.version + 1, hexmem.micros(v_now) / 1000),
        modified_at = v_now
    WHERE t.digest = p_digest;
    -- Also where no answer is there: a put that has just looked at the old generation may still add one.
    INSERT INTO hexmem.cache_ended (generation, room, tag, ended_at)
    VALUES (v_before, p_room, p_tag, v_now)
    ON CONFLICT (generation, room, tag) DO UPDATE SET ended_at = excluded.ended_at, drained = false;
END
$$;

-- Ends the answer of a key and remembers it for p_window: a computation in flight is refused then. A function, because
-- whether it could be served is known only when the key is locked.
CREATE FUNCTION hexmem.cache_end_key(
    p_digest bytea, p_room bytea, p_tenant text, p_namespace text, p_fingerprint bytea, p_invalidation uuid,
    p_window bigint, OUT ended bigint
)
LANGUAGE plpgsql AS $$
DECLARE
    v_now  timestamptz;
    v_held hexmem.cache_entries;
BEGIN
    LOOP
        SELECT e.version, e.tags, e.generations, e.expires_at
        INTO v_held.version, v_held.tags, v_held.generations, v_held.expires_at
        FROM hexmem.cache_entries AS e
        WHERE e.digest = p_digest
        FOR UPDATE;
        EXIT WHEN FOUND;
        v_now := hexmem.now();
        INSERT INTO hexmem.cache_entries (
            digest, room, tenant, namespace, fingerprint, version, modified_at, invalidation, remembered_until
        )
        VALUES (p_digest, p_room, p_tenant, p_namespace, p_fingerprint, hexmem.micros(v_now) / 1000, v_now,
            p_invalidation, hexmem.later(v_now, p_window))
        ON CONFLICT (digest) DO NOTHING;
        IF FOUND THEN
            ended := 0;
            RETURN;
        END IF;
    END LOOP;
    v_now := hexmem.now();
    ended := CASE
        WHEN v_held.expires_at > v_now AND hexmem.cache_current(p_room, v_held.tags, v_held.generations) THEN 1
        ELSE 0
    END;
    UPDATE hexmem.cache_entries AS e
    SET version = greatest(e.version + 1, hexmem.micros(v_now) / 1000), modified_at = v_now,
        invalidation = p_invalidation, remembered_until = hexmem.later(v_now, p_window),
        tags = NULL, generations = NULL, stored_at = NULL, fresh_until = NULL, expires_at = NULL,
        meta = NULL, value = NULL
    WHERE e.digest = p_digest;
END
$$;

-- Adds counts to names, one after the other under the lock of the namespace's row: which names are among the first
-- p_names is the same for all who count.
CREATE FUNCTION hexmem.cache_count(p_room bytea, p_kinds text[], p_counted text[], p_counts text[], p_names bigint)
RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_each record;
    v_name text;
    v_full text[] := '{}';
BEGIN
    INSERT INTO hexmem.cache_counters (room, kind, name, counts) VALUES (p_room, 'namespace', '', '{}')
    ON CONFLICT (room, kind, name) DO NOTHING;
    PERFORM FROM hexmem.cache_counters AS c
    WHERE c.room = p_room AND c.kind = 'namespace' AND c.name = ''
    FOR UPDATE;
    FOR v_each IN
        SELECT given.kind, given.name, given.counts::jsonb AS counts
        FROM unnest(p_kinds, p_counted, p_counts) WITH ORDINALITY AS given (kind, name, counts, place)
        ORDER BY given.place
    LOOP
        v_name := v_each.name;
        IF v_name <> '' AND NOT EXISTS (
            SELECT FROM hexmem.cache_counters AS c
            WHERE c.room = p_room AND c.kind = v_each.kind AND c.name = v_name
        ) THEN
            IF v_each.kind <> ALL (v_full) AND p_names <= (
                SELECT count(*) FROM hexmem.cache_counters AS c
                WHERE c.room = p_room AND c.kind = v_each.kind AND c.name <> ''
            ) THEN
                v_full := v_full || v_each.kind;
            END IF;
            IF v_each.kind = ANY (v_full) THEN
                v_name := '';
            END IF;
        END IF;
        INSERT INTO hexmem.cache_counters AS c (room, kind, name, counts)
        VALUES (p_room, v_each.kind, v_name, v_each.counts)
        ON CONFLICT (room, kind, name) DO UPDATE SET counts = (
            -- Sums end at the greatest number that every store keeps.
            SELECT coalesce(jsonb_object_agg(total.key, least(total.sum, 9223372036854775807)), '{}')
            FROM (
                SELECT term.key, sum(term.value::numeric) AS sum
                FROM (
                    SELECT * FROM jsonb_each_text(c.counts)
                    UNION ALL
                    SELECT * FROM jsonb_each_text(excluded.counts)
                ) AS term (key, value)
                GROUP BY term.key
            ) AS total
        );
    END LOOP;
END
$$;

-- Frees the answers of some keys, which are locked. Those whose invalidation is still remembered become tombstones.
CREATE FUNCTION hexmem.cache_free(p_digests bytea[], p_now timestamptz, p_margin bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM hexmem.cache_entries AS e
    WHERE e.digest = ANY (p_digests)
        AND (e.remembered_until IS NULL OR hexmem.later(e.remembered_until, p_margin) <= p_now);
    UPDATE hexmem.cache_entries AS e
    SET tags = NULL, generations = NULL, stored_at = NULL, fresh_until = NULL, expires_at = NULL, meta = NULL,
        value = NULL
    WHERE e.digest = ANY (p_digests);
END
$$;

-- Frees at most p_limit answers, and on the way at most as many of each thing kept beside them. p_margin is longer than
-- any statement runs: what a put that began before must still see stays for as long. p_start is where the walk over the
-- tags begins. Two sweeps at once take different rows. Keys are handed on as lists: a join would be planned for a tenth
-- of the table, and read all of it.
CREATE FUNCTION hexmem.cache_sweep(
    p_limit bigint, p_window bigint, p_margin bigint, p_start bytea, p_tags bigint, OUT freed bigint
)
LANGUAGE plpgsql
SET enable_seqscan = off AS $$
DECLARE
    v_now   timestamptz := hexmem.now();
    v_keys  bytea[];
    v_ended record;
    v_tag   record;
BEGIN
    SELECT array_agg(due.digest)
    INTO v_keys
    FROM (
        SELECT e.digest
        FROM hexmem.cache_entries AS e
        WHERE e.expires_at <= v_now
        ORDER BY e.expires_at
        LIMIT p_limit
        FOR UPDATE SKIP LOCKED
    ) AS due;
    freed := coalesce(cardinality(v_keys), 0);
    IF freed > 0 THEN
        PERFORM hexmem.cache_free(v_keys, v_now, p_margin);
    END IF;
    FOR v_ended IN
        (
            SELECT d.generation, d.room, d.tag, d.ended_at FROM hexmem.cache_ended AS d WHERE NOT d.drained
            ORDER BY d.ended_at LIMIT p_limit
        )
        UNION ALL
        (
            SELECT d.generation, d.room, d.tag, d.ended_at FROM hexmem.cache_ended AS d
            WHERE d.drained AND d.ended_at <= v_now - p_margin * interval '1 microsecond'
            ORDER BY d.ended_at LIMIT p_limit
        )
    LOOP
        EXIT WHEN freed >= p_limit;
        v_keys := NULL;
        -- A generation that a restored record brought back is no longer ended.
        IF NOT EXISTS (
            SELECT FROM hexmem.cache_tags AS t
            WHERE t.generation = v_ended.generation AND t.room = v_ended.room AND t.tag = v_ended.tag
        ) THEN
            SELECT array_agg(due.digest)
            INTO v_keys
            FROM (
                SELECT e.digest
                FROM hexmem.cache_entries AS e
                WHERE e.generations @> ARRAY[v_ended.generation] AND e.room = v_ended.room
                    AND v_ended.tag = ANY (e.tags)
                LIMIT p_limit - freed
                FOR UPDATE SKIP LOCKED
            ) AS due;
            IF v_keys IS NOT NULL THEN
                freed := freed + cardinality(v_keys);
                PERFORM hexmem.cache_free(v_keys, v_now, p_margin);
                CONTINUE;
            END IF;
            IF hexmem.later(v_ended.ended_at, p_margin) > v_now THEN
                UPDATE hexmem.cache_ended AS d
                SET drained = true
                WHERE d.generation = v_ended.generation AND d.room = v_ended.room AND d.tag = v_ended.tag;
                CONTINUE;
            END IF;
        END IF;
        DELETE FROM hexmem.cache_ended AS d
        WHERE d.generation = v_ended.generation AND d.room = v_ended.room AND d.tag = v_ended.tag;
    END LOOP;
    -- Invalidations whose time has passed: every ticket from before them is too old by now.
    DELETE FROM hexmem.cache_entries AS e
    WHERE e.digest = ANY (ARRAY(
        SELECT old.digest
        FROM hexmem.cache_entries AS old
        WHERE old.expires_at IS NULL AND old.remembered_until <= v_now - p_margin * interval '1 microsecond'
        ORDER BY old.remembered_until
        LIMIT p_limit
        FOR UPDATE SKIP LOCKED
    ));
    DELETE FROM hexmem.cache_flights AS f
    WHERE f.digest = ANY (ARRAY(
        SELECT old.digest
        FROM hexmem.cache_flights AS old
        WHERE old.expires_at <= v_now
        ORDER BY old.expires_at
        LIMIT p_limit
        FOR UPDATE SKIP LOCKED
    ));
    -- Tags that no answer holds, unchanged for the life of a ticket. The walk goes round from a random place: a sweep
    -- never looks at all of them, and two at once look at different ones.
    FOR v_tag IN
        (SELECT t.digest FROM hexmem.cache_tags AS t WHERE t.digest >= p_start ORDER BY t.digest LIMIT p_tags)
        UNION ALL
        (SELECT t.digest FROM hexmem.cache_tags AS t WHERE t.digest < p_start ORDER BY t.digest LIMIT p_tags)
        LIMIT p_tags
    LOOP
        -- A put that has just looked at the generation may still add an answer, which nobody will serve.
        WITH dropped AS (
            DELETE FROM hexmem.cache_tags AS t
            WHERE t.digest = v_tag.digest AND t.modified_at <= v_now - p_window * interval '1 microsecond'
                AND NOT EXISTS (
                    SELECT FROM hexmem.cache_entries AS e WHERE e.generations @> ARRAY[t.generation]
                )
            RETURNING t.generation, t.room, t.tag
        )
        INSERT INTO hexmem.cache_ended (generation, room, tag, ended_at)
        SELECT dropped.generation, dropped.room, dropped.tag, v_now FROM dropped
        ON CONFLICT (generation, room, tag) DO UPDATE SET ended_at = excluded.ended_at, drained = false;
    END LOOP;
END
$$;
