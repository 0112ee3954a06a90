-- What every port shares: the clock, effects that wait to be done, remembered answers; and keys and values.

-- The present of every statement. Volatile, so that it is read after a lock that the statement waited for; one
-- place, so that a test can move it.
CREATE FUNCTION hexmem.now() RETURNS timestamptz LANGUAGE sql VOLATILE AS 'SELECT clock_timestamp()';

-- Spans travel as whole microseconds; no span gives no instant. STABLE as the sum of its parts, or it is not inlined.
CREATE FUNCTION hexmem.later(instant timestamptz, micros int8) RETURNS timestamptz LANGUAGE sql STABLE AS
'SELECT CASE WHEN micros IS NOT NULL
    THEN least(instant + micros * interval ''1 microsecond'', timestamptz ''9999-12-31 23:59:59.999999+00'')
END';

-- Whole microseconds since 1970. Rounded: before version 14 the seconds are a float, exact to half of one.
CREATE FUNCTION hexmem.micros(instant timestamptz) RETURNS int8
LANGUAGE sql IMMUTABLE AS 'SELECT round(extract(epoch FROM instant) * 1000000)::int8';

-- The rule `next_version`: grows with each change, and also when an entity comes back after it was forgotten.
CREATE FUNCTION hexmem.next_version(previous int8, instant timestamptz) RETURNS int8
LANGUAGE sql IMMUTABLE AS 'SELECT greatest(coalesce(previous + 1, 1), hexmem.micros(instant))';

-- Wakes those who wait for a topic. One channel for all: its name is short, whatever the topics are. Not before the
-- commit, and a topic told twice in a transaction is told once.
CREATE FUNCTION hexmem.notify(topic text) RETURNS void LANGUAGE sql AS 'SELECT pg_notify(''hexmem.wake'', topic)';

CREATE TABLE hexmem.replay (
    op_hash    bytea       PRIMARY KEY,
    -- NULL while the first call is under way; nobody else sees that.
    answer     bytea,
    expires_at timestamptz NOT NULL
) WITH (fillfactor = 80);

CREATE INDEX replay_expiry ON hexmem.replay (expires_at);

-- Claims a key of idempotence: NULL for the first call, which then ends with replay_end or replay_forget in the same
-- transaction; the first answer for a repeat. A repeat at the same time waits for the first to commit.
CREATE FUNCTION hexmem.replay_begin(p_op bytea, p_window int8) RETURNS bytea LANGUAGE plpgsql AS $$
DECLARE
    v_now    timestamptz;
    v_answer bytea;
BEGIN
    v_now := hexmem.now();
    INSERT INTO hexmem.replay AS held (op_hash, answer, expires_at)
    VALUES (p_op, NULL, hexmem.later(v_now, p_window))
    ON CONFLICT (op_hash) DO UPDATE SET answer = NULL, expires_at = excluded.expires_at
        WHERE held.expires_at <= v_now;
    IF FOUND THEN
        -- A few at a time, with each key that is claimed: the table stays near its live size.
        DELETE FROM hexmem.replay
        WHERE op_hash IN (
            SELECT op_hash FROM hexmem.replay WHERE expires_at <= v_now
            ORDER BY expires_at LIMIT 4 FOR UPDATE SKIP LOCKED
        );
        RETURN NULL;
    END IF;
    SELECT answer INTO v_answer FROM hexmem.replay WHERE op_hash = p_op;
    RETURN v_answer;
END
$$;

CREATE FUNCTION hexmem.replay_end(p_op bytea, p_answer bytea) RETURNS void LANGUAGE sql AS
'UPDATE hexmem.replay SET answer = p_answer WHERE op_hash = p_op';

-- A refusal is not remembered.
CREATE FUNCTION hexmem.replay_forget(p_op bytea) RETURNS void LANGUAGE sql AS
'DELETE FROM hexmem.replay WHERE op_hash = p_op';

CREATE TABLE hexmem.outbox (
    -- Given out under a lock of the key, so that within a key it is the order of commits.
    sequence     int8        GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    effect_id    uuid        NOT NULL,
    topic        text        COLLATE "C" NOT NULL,
    key          text        COLLATE "C" NOT NULL,
    -- SHA-256 of the key: a short entry in the index.
    key_hash     bytea       NOT NULL,
    -- JSON as text: it comes back as it was.
    payload      text        NOT NULL,
    committed_at timestamptz NOT NULL,
    lease        uuid,
    leased_until timestamptz
) WITH (fillfactor = 70);

-- Which keys are held, and the entries of a lease.
CREATE INDEX outbox_held ON hexmem.outbox (leased_until, key_hash) WHERE leased_until IS NOT NULL;
CREATE INDEX outbox_lease ON hexmem.outbox (lease) WHERE lease IS NOT NULL;

-- Adds effects to the transaction of their change, last of all its statements: it holds a lock of each key until the
-- commit, taken in one order. p_locks are the keys of those locks, in the order of the effects.
CREATE FUNCTION hexmem.push_effects(
    p_ids uuid[], p_topics text[], p_keys text[], p_hashes bytea[], p_payloads text[], p_locks int8[]
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_lock int8;
BEGIN
    FOR v_lock IN SELECT DISTINCT given FROM unnest(p_locks) AS given ORDER BY given LOOP
        PERFORM pg_advisory_xact_lock(v_lock);
    END LOOP;
    INSERT INTO hexmem.outbox (effect_id, topic, key, key_hash, payload, committed_at)
    SELECT given.id, given.topic, given.key, given.hash, given.payload, hexmem.now()
    FROM unnest(p_ids, p_topics, p_keys, p_hashes, p_payloads)
        WITH ORDINALITY AS given (id, topic, key, hash, payload, place)
    ORDER BY given.place;
END
$$;

-- The oldest entries of keys that nobody holds. A key counts as held while one of its entries is, so that what follows
-- a held entry waits for it. One at a time: two who look at once would share out the entries of one key.
CREATE FUNCTION hexmem.outbox_lease(p_lock int8, p_lease uuid, p_visibility int8, p_limit int4)
RETURNS SETOF hexmem.outbox LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz;
BEGIN
    PERFORM pg_advisory_xact_lock(p_lock);
    v_now := hexmem.now();
    RETURN QUERY
    WITH due AS MATERIALIZED (
        SELECT free.sequence
        FROM hexmem.outbox AS free
        WHERE NOT EXISTS (
            SELECT 1 FROM hexmem.outbox AS held
            WHERE held.leased_until > v_now AND held.key_hash = free.key_hash
        )
        ORDER BY free.sequence
        LIMIT p_limit
        FOR UPDATE OF free
    )
    UPDATE hexmem.outbox AS taken
    SET lease = p_lease, leased_until = hexmem.later(v_now, p_visibility)
    FROM due
    WHERE taken.sequence = due.sequence
    RETURNING taken.*;
END
$$;

-- Buckets stay for ever: the ids are part of cursors.
CREATE TABLE hexmem.kv_bucket (
    id     int8  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- SHA-256 of tenant and name: two texts of 1,024 bytes and a third do not fit an entry of an index.
    digest bytea NOT NULL UNIQUE,
    tenant text  COLLATE "C" NOT NULL,
    name   text  COLLATE "C" NOT NULL
);

CREATE TABLE hexmem.key_value (
    bucket      int8        NOT NULL,
    key         text        COLLATE "C" NOT NULL,
    version     int8        NOT NULL,
    modified_at timestamptz NOT NULL,
    expires_at  timestamptz,
    deleted_at  timestamptz,
    -- When its space may be freed; NULL while it stays.
    free_at     timestamptz,
    -- NULL for a tombstone.
    value       bytea,
    PRIMARY KEY (bucket, key)
) WITH (fillfactor = 85);

CREATE INDEX key_value_free ON hexmem.key_value (free_at) WHERE free_at IS NOT NULL;

-- The bucket's id, made where it is missing.
CREATE FUNCTION hexmem.kv_bucket_id(p_digest bytea, p_tenant text, p_name text) RETURNS int8
LANGUAGE plpgsql AS $$
DECLARE
    v_id int8;
BEGIN
    LOOP
        SELECT id INTO v_id FROM hexmem.kv_bucket WHERE digest = p_digest;
        EXIT WHEN FOUND;
        INSERT INTO hexmem.kv_bucket (digest, tenant, name) VALUES (p_digest, p_tenant, p_name)
        ON CONFLICT (digest) DO NOTHING;
    END LOOP;
    RETURN v_id;
END
$$;

-- One write. p_condition: 0 always, 1 if absent, 2 if the version is p_expected. written tells whether it was done;
-- version is the new one, or the live one that refused it, or NULL where nothing is live.
CREATE FUNCTION hexmem.kv_set(
    p_bucket int8, p_key text, p_value bytea, p_ttl int8, p_condition int2, p_expected int8,
    p_op bytea, p_window int8, OUT written bool, OUT version int8
) LANGUAGE plpgsql AS $$
DECLARE
    v_now    timestamptz;
    v_answer bytea;
    v_held   hexmem.key_value;
BEGIN
    IF p_op IS NOT NULL THEN
        v_answer := hexmem.replay_begin(p_op, p_window);
        IF v_answer IS NOT NULL THEN
            written := true;
            version := ('x' || encode(v_answer, 'hex'))::bit(64)::int8;
            RETURN;
        END IF;
    END IF;
    written := false;
    FOR attempt IN 1..100 LOOP
        SELECT held.version, held.expires_at, held.deleted_at
        INTO v_held.version, v_held.expires_at, v_held.deleted_at
        FROM hexmem.key_value AS held
        WHERE held.bucket = p_bucket AND held.key = p_key
        FOR UPDATE;
        -- After the lock: the order of the times is the order of the changes.
        v_now := hexmem.now();
        IF FOUND THEN
            IF v_held.deleted_at IS NULL AND (v_held.expires_at IS NULL OR v_held.expires_at > v_now) THEN
                version := v_held.version;
            END IF;
            EXIT WHEN p_condition = 1 AND version IS NOT NULL;
            EXIT WHEN p_condition = 2 AND version IS DISTINCT FROM p_expected;
            UPDATE hexmem.key_value AS held
            SET value = p_value, version = hexmem.next_version(v_held.version, v_now), modified_at = v_now,
                expires_at = hexmem.later(v_now, p_ttl), deleted_at = NULL, free_at = hexmem.later(v_now, p_ttl)
            WHERE held.bucket = p_bucket AND held.key = p_key
            RETURNING held.version INTO version;
            written := true;
            EXIT;
        END IF;
        EXIT WHEN p_condition = 2;
        INSERT INTO hexmem.key_value AS held (bucket, key, value, version, modified_at, expires_at, free_at)
        VALUES (p_bucket, p_key, p_value, hexmem.next_version(NULL, v_now), v_now,
            hexmem.later(v_now, p_ttl), hexmem.later(v_now, p_ttl))
        ON CONFLICT (bucket, key) DO NOTHING
        RETURNING held.version INTO version;
        written := FOUND;
        EXIT WHEN FOUND;
    END LOOP;
    IF p_op IS NOT NULL THEN
        IF written THEN
            PERFORM hexmem.replay_end(p_op, int8send(version));
        ELSE
            PERFORM hexmem.replay_forget(p_op);
        END IF;
    END IF;
END
$$;

-- Many writes, in the order of their keys so that two who do this do not wait for each other in a circle; a key given
-- twice is written in the order given.
CREATE FUNCTION hexmem.kv_set_many(
    p_bucket int8, p_keys text[], p_values bytea[], p_ttls int8[], p_conditions int2[], p_expected int8[],
    p_ops bytea[], p_window int8
) RETURNS TABLE (place int8, written bool, version int8) LANGUAGE sql AS $$
    SELECT given.place, done.written, done.version
    FROM (
        SELECT * FROM unnest(p_keys, p_values, p_ttls, p_conditions, p_expected, p_ops)
            WITH ORDINALITY AS each (key, value, ttl, condition, expected, op, place)
        ORDER BY each.key COLLATE "C", each.place
    ) AS given
    CROSS JOIN LATERAL hexmem.kv_set(p_bucket, given.key, given.value, given.ttl, given.condition,
        given.expected, given.op, p_window) AS done
$$;

-- Leaves tombstones; how many live ones there were. Locked in the order of the keys, so that two who delete do not wait
-- for each other in a circle.
CREATE FUNCTION hexmem.kv_delete_many(p_digest bytea, p_keys text[], p_retention int8) RETURNS int8
LANGUAGE plpgsql AS $$
DECLARE
    v_now    timestamptz;
    v_bucket int8;
    v_count  int8;
BEGIN
    SELECT id INTO v_bucket FROM hexmem.kv_bucket WHERE digest = p_digest;
    PERFORM FROM hexmem.key_value AS held
    WHERE held.bucket = v_bucket AND held.key = ANY (p_keys) AND held.deleted_at IS NULL
    ORDER BY held.key
    FOR UPDATE;
    v_now := hexmem.now();
    UPDATE hexmem.key_value AS held
    SET value = NULL, version = hexmem.next_version(held.version, v_now), modified_at = v_now,
        expires_at = NULL, deleted_at = v_now, free_at = hexmem.later(v_now, p_retention)
    WHERE held.bucket = v_bucket AND held.key = ANY (p_keys) AND held.deleted_at IS NULL
        AND (held.expires_at IS NULL OR held.expires_at > v_now);
    GET DIAGNOSTICS v_count = ROW_COUNT;
    RETURN v_count;
END
$$;

-- Removes on the version. removed; or version: the live one that refused it, NULL where nothing is live.
CREATE FUNCTION hexmem.kv_delete_if(
    p_digest bytea, p_key text, p_expected int8, p_retention int8, OUT removed bool, OUT version int8
) LANGUAGE plpgsql AS $$
DECLARE
    v_now    timestamptz;
    v_bucket int8;
    v_held   hexmem.key_value;
BEGIN
    removed := false;
    SELECT id INTO v_bucket FROM hexmem.kv_bucket WHERE digest = p_digest;
    SELECT held.version, held.expires_at, held.deleted_at
    INTO v_held.version, v_held.expires_at, v_held.deleted_at
    FROM hexmem.key_value AS held
    WHERE held.bucket = v_bucket AND held.key = p_key
    FOR UPDATE;
    v_now := hexmem.now();
    IF NOT FOUND OR v_held.deleted_at IS NOT NULL OR v_held.expires_at <= v_now THEN
        RETURN;
    END IF;
    IF v_held.version <> p_expected THEN
        version := v_held.version;
        RETURN;
    END IF;
    UPDATE hexmem.key_value AS held
    SET value = NULL, version = hexmem.next_version(held.version, v_now), modified_at = v_now,
        expires_at = NULL, deleted_at = v_now, free_at = hexmem.later(v_now, p_retention)
    WHERE held.bucket = v_bucket AND held.key = p_key;
    removed := true;
END
$$;

-- The rule `counter::add` under the key's lock. outcome: 0 added, 1 the value is no integer in its shortest form, 2 the
-- sum lies beyond 64 bits. total is the sum, or the value that refused it.
CREATE FUNCTION hexmem.kv_increment(
    p_bucket int8, p_key text, p_by int8, p_ttl int8, p_op bytea, p_window int8,
    OUT outcome int2, OUT total int8
) LANGUAGE plpgsql AS $$
DECLARE
    v_now    timestamptz;
    v_answer bytea;
    v_held   hexmem.key_value;
    v_live   bool;
    v_text   text;
    v_sum    numeric;
BEGIN
    v_answer := hexmem.replay_begin(p_op, p_window);
    IF v_answer IS NOT NULL THEN
        outcome := 0;
        total := ('x' || encode(v_answer, 'hex'))::bit(64)::int8;
        RETURN;
    END IF;
    FOR attempt IN 1..100 LOOP
        SELECT * INTO v_held
        FROM hexmem.key_value AS held
        WHERE held.bucket = p_bucket AND held.key = p_key
        FOR UPDATE;
        v_now := hexmem.now();
        IF FOUND THEN
            v_live := v_held.deleted_at IS NULL AND (v_held.expires_at IS NULL OR v_held.expires_at > v_now);
            v_sum := p_by;
            IF v_live THEN
                -- Digits are the same in every encoding; whatever else it is, it is no number.
                v_text := CASE WHEN octet_length(v_held.value) <= 20 THEN encode(v_held.value, 'escape') END;
                IF v_text IS NULL OR v_text !~ '^(0|-?[1-9][0-9]*)$'
                    OR v_text::numeric NOT BETWEEN -9223372036854775808 AND 9223372036854775807 THEN
                    outcome := 1;
                    EXIT;
                END IF;
                v_sum := v_text::numeric + p_by;
            END IF;
            IF v_sum NOT BETWEEN -9223372036854775808 AND 9223372036854775807 THEN
                outcome := 2;
                total := v_text::int8;
                EXIT;
            END IF;
            total := v_sum;
            UPDATE hexmem.key_value AS held
            SET value = convert_to(total::text, 'UTF8'), version = hexmem.next_version(v_held.version, v_now),
                modified_at = v_now, deleted_at = NULL,
                expires_at = CASE WHEN v_live THEN v_held.expires_at ELSE hexmem.later(v_now, p_ttl) END,
                free_at = CASE WHEN v_live THEN v_held.expires_at ELSE hexmem.later(v_now, p_ttl) END
            WHERE held.bucket = p_bucket AND held.key = p_key;
            outcome := 0;
            EXIT;
        END IF;
        INSERT INTO hexmem.key_value (bucket, key, value, version, modified_at, expires_at, free_at)
        VALUES (p_bucket, p_key, convert_to(p_by::text, 'UTF8'), hexmem.next_version(NULL, v_now), v_now,
            hexmem.later(v_now, p_ttl), hexmem.later(v_now, p_ttl))
        ON CONFLICT (bucket, key) DO NOTHING;
        IF FOUND THEN
            outcome := 0;
            total := p_by;
            EXIT;
        END IF;
    END LOOP;
    IF outcome = 0 THEN
        PERFORM hexmem.replay_end(p_op, int8send(total));
    ELSE
        PERFORM hexmem.replay_forget(p_op);
    END IF;
END
$$;
