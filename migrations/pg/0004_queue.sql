-- Queues: unfinished commands in one small table, what ended in another, and the steps that lock before they look.

CREATE TABLE hexmem.queue (
    -- Short, so that every index below starts with a few bytes and not with a digest.
    queue              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- SHA-256 of tenant and name.
    queue_hash         bytea       NOT NULL UNIQUE,
    tenant             text        NOT NULL COLLATE "C",
    name               text        NOT NULL COLLATE "C",
    -- Every priority that was ever used, the highest first: a lease asks for one after the other.
    priorities         smallint[]  NOT NULL DEFAULT '{}',
    -- Whether a group was ever used: a queue without groups pays nothing for them.
    grouped            boolean     NOT NULL DEFAULT false,
    -- Added to the sequence: new commands come after those that were restored.
    sequence_base      bigint      NOT NULL DEFAULT 0,
    -- The last consumer among those whose rows were swept.
    consumer_seen_at   timestamptz,
    max_in_flight      bigint,
    rate_count         bigint,
    -- Microseconds.
    rate_per           bigint,
    -- 0: limits were never set.
    limits_version     bigint      NOT NULL DEFAULT 0,
    limits_modified_at timestamptz,
    -- When the token bucket of the rate is full again.
    bucket_full_at     timestamptz
);

CREATE INDEX queue_name ON hexmem.queue (tenant, name);

-- One number for each list that is enqueued; its commands have places within it.
CREATE SEQUENCE hexmem.queue_sequence;

-- Unfinished commands. A row is written when it comes, when it is handed out, and removed when it ends.
CREATE TABLE hexmem.queue_command (
    queue            bigint      NOT NULL,
    id               uuid        NOT NULL,
    sequence         bigint      NOT NULL,
    version          bigint      NOT NULL,
    modified_at      timestamptz NOT NULL,
    enqueued_at      timestamptz NOT NULL,
    ready_at         timestamptz NOT NULL,
    deadline         timestamptz,
    -- Not later than the instant at which time alone changes the row, and never before it was written: a renewed
    -- lease leaves it as it is, so that a heartbeat touches no index.
    due_at           timestamptz,
    leased_until     timestamptz,
    base_ms          bigint      NOT NULL,
    cap_ms           bigint      NOT NULL,
    -- Microseconds.
    result_ttl       bigint      NOT NULL,
    max_attempts     integer     NOT NULL,
    attempts         integer     NOT NULL,
    priority         smallint    NOT NULL,
    -- 0 ready since it was enqueued, 1 parked (delayed), 2 blocked (behind its group), 3 leased, 8 ready again.
    stage            smallint    NOT NULL,
    jitter_percent   smallint    NOT NULL,
    cancel_requested boolean     NOT NULL DEFAULT false,
    -- Somebody waits for its end.
    awaited          boolean     NOT NULL DEFAULT false,
    group_hash       bytea,
    group_name       text,
    worker           text,
    -- Attempt (4 bytes) and secret (16 bytes) of the last delivery, both big-endian.
    lease            bytea,
    -- How that delivery ended, as JSON; NULL: it goes on, or there was none.
    settlement       text,
    progress         text,
    last_error       text,
    headers          text        NOT NULL,
    payload          bytea       NOT NULL
) WITH (
    fillfactor = 70,
    -- What is long lies apart, so that a lease rewrites a short row.
    toast_tuple_target = 512,
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_insert_scale_factor = 0.5,
    autovacuum_analyze_scale_factor = 0.5,
    autovacuum_vacuum_cost_delay = 0
);

CREATE UNIQUE INDEX queue_command_id ON hexmem.queue_command (queue, id);
-- The two that a lease reads. A new command is always behind the last one of its priority, so that a worker may start
-- where it found the first one a while ago; one that comes back lies in an index of its own.
CREATE INDEX queue_command_fresh ON hexmem.queue_command (queue, priority DESC, sequence) WHERE stage = 0;
CREATE INDEX queue_command_again ON hexmem.queue_command (queue, priority DESC, sequence) WHERE stage = 8;
CREATE INDEX queue_command_due ON hexmem.queue_command (queue, stage, due_at) WHERE due_at IS NOT NULL;
-- The head of a group is its first entry here.
CREATE INDEX queue_command_group ON hexmem.queue_command (queue, group_hash, sequence, id)
    WHERE group_hash IS NOT NULL;

-- How commands ended. Written once; a requeue takes a dead letter out again.
CREATE TABLE hexmem.queue_ended (
    queue            bigint      NOT NULL,
    id               uuid        NOT NULL,
    sequence         bigint      NOT NULL,
    version          bigint      NOT NULL,
    modified_at      timestamptz NOT NULL,
    enqueued_at      timestamptz NOT NULL,
    ready_at         timestamptz NOT NULL,
    deadline         timestamptz,
    ended_at         timestamptz,
    deleted_at       timestamptz,
    -- When a result or a tombstone is over; NULL for dead letters.
    free_at          timestamptz,
    base_ms          bigint      NOT NULL,
    cap_ms           bigint      NOT NULL,
    result_ttl       bigint      NOT NULL,
    max_attempts     integer     NOT NULL,
    attempts         integer     NOT NULL,
    priority         smallint    NOT NULL,
    -- 4 completed, 5 dead, 6 cancelled, 7 purged (a tombstone).
    stage            smallint    NOT NULL,
    jitter_percent   smallint    NOT NULL,
    cancel_requested boolean     NOT NULL,
    group_hash       bytea,
    group_name       text,
    lease            bytea,
    settlement       text,
    progress         text,
    last_error       text,
    headers          text        NOT NULL,
    payload          bytea       NOT NULL,
    result           bytea
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);

CREATE UNIQUE INDEX queue_ended_id ON hexmem.queue_ended (queue, id);
CREATE INDEX queue_ended_dead ON hexmem.queue_ended (queue, id) WHERE stage = 5;
CREATE INDEX queue_ended_free ON hexmem.queue_ended (queue, free_at) WHERE free_at IS NOT NULL;

-- The lock of a group, for as long as it has commands.
CREATE TABLE hexmem.queue_group (
    queue      bigint NOT NULL,
    group_hash bytea  NOT NULL,
    PRIMARY KEY (queue, group_hash)
);

CREATE TABLE hexmem.queue_dedupe (
    queue    bigint      NOT NULL,
    key_hash bytea       NOT NULL,
    key      text        NOT NULL,
    command  uuid        NOT NULL,
    until    timestamptz NOT NULL,
    set_at   timestamptz NOT NULL,
    PRIMARY KEY (queue, key_hash)
);

CREATE INDEX queue_dedupe_until ON hexmem.queue_dedupe (until);

CREATE TABLE hexmem.queue_worker (
    queue       bigint      NOT NULL,
    worker_hash bytea       NOT NULL,
    -- No index: it changes all the time.
    seen_at     timestamptz NOT NULL,
    -- While it waits for a command: until when that can be believed without another word.
    waits_until timestamptz,
    PRIMARY KEY (queue, worker_hash)
) WITH (fillfactor = 50, autovacuum_vacuum_cost_delay = 0);

CREATE TABLE hexmem.queue_schedule (
    queue       bigint      NOT NULL,
    name_hash   bytea       NOT NULL,
    name        text        NOT NULL COLLATE "C",
    spec        text        NOT NULL,
    next_at     timestamptz,
    version     bigint      NOT NULL,
    -- The version that the last put expected: a repeat of it gets the present one.
    put_over    bigint,
    template    text        NOT NULL,
    modified_at timestamptz NOT NULL,
    deleted_at  timestamptz,
    PRIMARY KEY (queue, name_hash)
);

CREATE INDEX queue_schedule_name ON hexmem.queue_schedule (queue, name);

-- The queue of an address, which comes to be where it is missing.
CREATE FUNCTION hexmem.queue_open(p_hash bytea, p_tenant text, p_name text) RETURNS hexmem.queue
LANGUAGE plpgsql AS $$
DECLARE
    v_queue hexmem.queue;
BEGIN
    SELECT q.* INTO v_queue FROM hexmem.queue AS q WHERE q.queue_hash = p_hash;
    IF v_queue.queue IS NULL THEN
        INSERT INTO hexmem.queue (queue_hash, tenant, name) VALUES (p_hash, p_tenant, p_name)
        ON CONFLICT (queue_hash) DO NOTHING;
        SELECT q.* INTO v_queue FROM hexmem.queue AS q WHERE q.queue_hash = p_hash;
    END IF;
    RETURN v_queue;
END $$;

-- Locks groups, in the order of their digests. Before any command of theirs: whoever holds the group decides who is
-- its head. A row that is there is locked and not written.
CREATE FUNCTION hexmem.queue_lock_groups(p_queue bigint, p_groups bytea[]) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO hexmem.queue_group (queue, group_hash)
    SELECT p_queue, g.group_hash
    FROM (SELECT DISTINCT u.group_hash FROM unnest(p_groups) AS u (group_hash)
        WHERE u.group_hash IS NOT NULL ORDER BY 1) AS g
    ON CONFLICT (queue, group_hash) DO UPDATE SET queue = EXCLUDED.queue WHERE false
$$;

-- The oldest unfinished command of each group becomes its head, unless one of them is held. A group without commands
-- needs no lock any more. The groups are locked by the caller.
CREATE FUNCTION hexmem.queue_advance(p_queue bigint, p_groups bytea[], p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_group bytea;
    v_head  record;
BEGIN
    FOR v_group IN SELECT DISTINCT u.g FROM unnest(p_groups) AS u (g) WHERE u.g IS NOT NULL ORDER BY 1 LOOP
        SELECT c.id, c.stage INTO v_head FROM hexmem.queue_command AS c
        WHERE c.queue = p_queue AND c.group_hash = v_group
        ORDER BY c.sequence, c.id LIMIT 1;
        IF NOT FOUND THEN
            DELETE FROM hexmem.queue_group AS g WHERE g.queue = p_queue AND g.group_hash = v_group;
        ELSIF v_head.stage = 2 THEN
            UPDATE hexmem.queue_command AS c SET
                stage = CASE WHEN c.ready_at > p_now THEN 1 ELSE 8 END,
                due_at = CASE WHEN c.ready_at > p_now
                    THEN GREATEST(LEAST(c.ready_at, c.deadline), p_now) ELSE c.due_at END
            WHERE c.queue = p_queue AND c.id = v_head.id AND c.stage = 2
                AND NOT EXISTS (
                    SELECT 1 FROM hexmem.queue_command AS held
                    WHERE held.queue = p_queue AND held.group_hash = v_group AND held.stage = 3);
        END IF;
    END LOOP;
END $$;

-- Wakes who waits at a queue, if anybody does: a commit that tells stands in line with all others that tell.
CREATE FUNCTION hexmem.queue_ring(p_queue bigint, p_hash bytea) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT 1 FROM hexmem.queue_worker AS w WHERE w.queue = p_queue AND w.waits_until > hexmem.now()) THEN
        PERFORM hexmem.notify('q' || encode(p_hash, 'hex'));
    END IF;
END $$;

-- Writes down what time has made of up to p_most commands that fell due after p_since; returns how many were looked
-- at. The rule is ports::rules::overdue. Nothing is waited for: who holds a row or its group settles it himself.
CREATE FUNCTION hexmem.queue_settle(p_queue bigint, p_since timestamptz, p_most integer) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    v_now    timestamptz := hexmem.now();
    v_ids    uuid[];
    v_groups bytea[];
    v_rows   tid[];
BEGIN
    SELECT array_agg(due.id), array_agg(DISTINCT due.group_hash) FILTER (WHERE due.group_hash IS NOT NULL)
    INTO v_ids, v_groups
    FROM (
        SELECT c.id, c.group_hash FROM hexmem.queue_command AS c
        WHERE c.queue = p_queue AND c.stage = ANY ('{0,1,2,3,8}') AND c.due_at > p_since AND c.due_at <= v_now
        LIMIT p_most) AS due;
    IF v_ids IS NULL THEN
        RETURN 0;
    END IF;
    IF v_groups IS NOT NULL THEN
        SELECT array_agg(held.group_hash) INTO v_groups FROM (
            SELECT g.group_hash FROM hexmem.queue_group AS g
            WHERE g.queue = p_queue AND g.group_hash = ANY (v_groups)
            ORDER BY g.group_hash FOR UPDATE SKIP LOCKED) AS held;
    END IF;
    SELECT array_agg(held.ctid) INTO v_rows
    FROM unnest(v_ids) AS i (id) CROSS JOIN LATERAL (
        SELECT c.ctid FROM hexmem.queue_command AS c
        WHERE c.queue = p_queue AND c.id = i.id AND c.due_at <= v_now
            AND (c.group_hash IS NULL OR c.group_hash = ANY (v_groups))
        FOR UPDATE SKIP LOCKED) AS held;
    IF v_rows IS NULL THEN
        RETURN 0;
    END IF;
    v_now := hexmem.now();

    WITH gone AS (
        DELETE FROM hexmem.queue_command AS c
        WHERE c.ctid = ANY (v_rows) AND (
            c.stage <> 3 AND c.deadline <= v_now
            OR c.stage = 3 AND c.leased_until <= v_now
                AND (c.cancel_requested OR c.attempts >= c.max_attempts OR c.deadline <= v_now))
        RETURNING c.*,
            CASE
                WHEN c.stage = 3 AND c.cancel_requested THEN 'cancelled'
                WHEN c.stage = 3 AND c.attempts >= c.max_attempts THEN 'ran out'
                ELSE 'deadline'
            END AS why)
    INSERT INTO hexmem.queue_ended (
        queue, id, sequence, version, modified_at, enqueued_at, ready_at, deadline, ended_at, free_at, base_ms, cap_ms,
        result_ttl, max_attempts, attempts, priority, stage, jitter_percent, cancel_requested, group_hash, group_name,
        lease, settlement, progress, last_error, headers, payload)
    SELECT g.queue, g.id, g.sequence, g.version + 1, v_now, g.enqueued_at, g.ready_at, g.deadline,
        -- The deadline of one that ran is looked at when its lease is over.
        CASE WHEN g.stage <> 3 THEN g.deadline WHEN g.why = 'deadline' THEN GREATEST(g.deadline, g.leased_until)
            ELSE g.leased_until END,
        CASE WHEN g.why = 'cancelled' THEN hexmem.later(g.leased_until, g.result_ttl) END,
        g.base_ms, g.cap_ms, g.result_ttl, g.max_attempts, g.attempts, g.priority,
        CASE WHEN g.why = 'cancelled' THEN 6 ELSE 5 END,
        g.jitter_percent, g.cancel_requested, g.group_hash, g.group_name, g.lease,
        CASE WHEN g.stage = 3 THEN '"expired"' ELSE g.settlement END, g.progress,
        CASE g.why
            WHEN 'ran out' THEN 'the lease ran out before the attempt was finished'
            WHEN 'deadline' THEN 'the deadline passed before the command was finished'
            ELSE g.last_error END,
        g.headers, g.payload
    FROM gone AS g;

    -- What is left: an end that was put off, a lease that ran out, a delay that is over.
    UPDATE hexmem.queue_command AS c SET
        stage = CASE
            WHEN c.stage = 3 AND c.leased_until > v_now THEN 3
            WHEN c.stage IN (1, 3) AND (c.stage = 3 OR c.ready_at <= v_now) THEN 8
            ELSE c.stage END,
        due_at = CASE
            WHEN c.stage = 3 AND c.leased_until > v_now THEN c.leased_until
            WHEN c.stage = 1 AND c.ready_at > v_now THEN LEAST(c.ready_at, c.deadline)
            ELSE c.deadline END,
        version = c.version + CASE WHEN c.stage = 3 AND c.leased_until <= v_now THEN 1 ELSE 0 END,
        modified_at = CASE WHEN c.stage = 3 AND c.leased_until <= v_now THEN v_now ELSE c.modified_at END,
        settlement = CASE WHEN c.stage = 3 AND c.leased_until <= v_now THEN '"expired"' ELSE c.settlement END,
        last_error = CASE WHEN c.stage = 3 AND c.leased_until <= v_now
            THEN 'the lease ran out before the attempt was finished' ELSE c.last_error END,
        ready_at = CASE WHEN c.stage = 3 AND c.leased_until <= v_now THEN c.leased_until ELSE c.ready_at END,
        worker = CASE WHEN c.stage = 3 AND c.leased_until <= v_now THEN NULL ELSE c.worker END,
        leased_until = CASE WHEN c.stage = 3 AND c.leased_until <= v_now THEN NULL ELSE c.leased_until END
    WHERE c.ctid = ANY (v_rows);

    IF v_groups IS NOT NULL THEN
        PERFORM hexmem.queue_advance(p_queue, v_groups, v_now);
    END IF;
    RETURN cardinality(v_rows);
END $$;

-- A command as its readers see it, wherever it lies.
CREATE VIEW hexmem.queue_any AS
    SELECT queue, id, sequence, version, modified_at, enqueued_at, ready_at, deadline, leased_until,
        NULL::timestamptz AS ended_at, NULL::timestamptz AS deleted_at, NULL::timestamptz AS free_at, base_ms, cap_ms,
        result_ttl, max_attempts, attempts, priority, stage, jitter_percent, cancel_requested, awaited, group_hash,
        group_name, worker, lease, settlement, progress, last_error, headers, payload, NULL::bytea AS result
    FROM hexmem.queue_command
    UNION ALL
    SELECT queue, id, sequence, version, modified_at, enqueued_at, ready_at, deadline, NULL::timestamptz,
        ended_at, deleted_at, free_at, base_ms, cap_ms,
        result_ttl, max_attempts, attempts, priority, stage, jitter_percent, cancel_requested, false, group_hash,
        group_name, NULL::text, lease, settlement, progress, last_error, headers, payload, result
    FROM hexmem.queue_ended;

-- Locks a command and its group for a step of the shared state machine, and gives it as it is after that.
CREATE FUNCTION hexmem.queue_hold(p_hash bytea, p_id uuid) RETURNS SETOF hexmem.queue_any
LANGUAGE plpgsql AS $$
DECLARE
    v_queue bigint;
    v_group bytea;
BEGIN
    SELECT q.queue INTO v_queue FROM hexmem.queue AS q WHERE q.queue_hash = p_hash;
    SELECT c.group_hash INTO v_group FROM hexmem.queue_command AS c WHERE c.queue = v_queue AND c.id = p_id;
    IF v_group IS NOT NULL THEN
        PERFORM hexmem.queue_lock_groups(v_queue, ARRAY[v_group]);
    END IF;
    PERFORM 1 FROM hexmem.queue_command AS c WHERE c.queue = v_queue AND c.id = p_id FOR UPDATE;
    RETURN QUERY SELECT a.* FROM hexmem.queue_any AS a WHERE a.queue = v_queue AND a.id = p_id;
END $$;

-- Writes a step down for a command that queue_hold gave: where it stands, or that it ended.
CREATE FUNCTION hexmem.queue_file(
    p_queue bigint, p_id uuid, p_hash bytea, p_stage smallint, p_due_at timestamptz,
    p_free_at timestamptz, p_version bigint, p_modified_at timestamptz, p_ready_at timestamptz, p_attempts integer,
    p_leased_until timestamptz, p_worker text, p_lease bytea, p_settlement text, p_cancel_requested boolean,
    p_progress text, p_last_error text, p_ended_at timestamptz)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_group   bytea;
    v_awaited boolean;
BEGIN
    UPDATE hexmem.queue_command AS c SET
        stage = p_stage, due_at = CASE WHEN p_stage = 3 THEN LEAST(c.due_at, p_due_at) ELSE p_due_at END,
        version = p_version, modified_at = p_modified_at, ready_at = p_ready_at,
        attempts = p_attempts, leased_until = p_leased_until, worker = p_worker, lease = p_lease,
        settlement = p_settlement, cancel_requested = p_cancel_requested, progress = p_progress,
        last_error = p_last_error
    WHERE c.queue = p_queue AND c.id = p_id AND p_stage IN (0, 1, 2, 3, 8);
    IF NOT FOUND THEN
        WITH gone AS (
            DELETE FROM hexmem.queue_command AS c WHERE c.queue = p_queue AND c.id = p_id RETURNING c.*),
        kept AS (
            INSERT INTO hexmem.queue_ended (
                queue, id, sequence, version, modified_at, enqueued_at, ready_at, deadline, ended_at, free_at, base_ms,
                cap_ms, result_ttl, max_attempts, attempts, priority, stage, jitter_percent, cancel_requested,
                group_hash, group_name, lease, settlement, progress, last_error, headers, payload)
            SELECT g.queue, g.id, g.sequence, p_version, p_modified_at, g.enqueued_at, p_ready_at, g.deadline,
                p_ended_at, p_free_at, g.base_ms, g.cap_ms, g.result_ttl, g.max_attempts, p_attempts, g.priority,
                p_stage, g.jitter_percent, p_cancel_requested, g.group_hash, g.group_name, p_lease, p_settlement,
                p_progress, p_last_error, g.headers, g.payload
            FROM gone AS g)
        SELECT g.group_hash, g.awaited INTO v_group, v_awaited FROM gone AS g;
        IF v_group IS NOT NULL THEN
            PERFORM hexmem.queue_advance(p_queue, ARRAY[v_group], p_modified_at);
        END IF;
    END IF;
    PERFORM hexmem.queue_ring(p_queue, p_hash);
    IF v_awaited THEN
        PERFORM hexmem.notify('r' || encode(p_hash, 'hex') || p_id);
    END IF;
END $$;

-- Puts dead letters back, all of them where no ids are given, in the order of their first enqueue.
CREATE FUNCTION hexmem.queue_requeue(p_hash bytea, p_ids uuid[]) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    v_queue  hexmem.queue;
    v_ids    uuid[];
    v_groups bytea[];
    v_now    timestamptz;
    v_seqs   bigint[];
    v_count  bigint;
BEGIN
    SELECT q.* INTO v_queue FROM hexmem.queue AS q WHERE q.queue_hash = p_hash;
    SELECT array_agg(e.id), array_agg(DISTINCT e.group_hash) FILTER (WHERE e.group_hash IS NOT NULL)
    INTO v_ids, v_groups FROM hexmem.queue_ended AS e
    WHERE e.queue = v_queue.queue AND e.stage = 5 AND (p_ids IS NULL OR e.id = ANY (p_ids));
    IF v_ids IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM hexmem.queue_lock_groups(v_queue.queue, v_groups);
    v_now := hexmem.now();
    v_seqs := ARRAY(
        SELECT nextval('hexmem.queue_sequence') FROM generate_series(0, (cardinality(v_ids) - 1) / 16384));
    WITH gone AS (
        DELETE FROM hexmem.queue_ended AS e
        WHERE e.queue = v_queue.queue AND e.stage = 5 AND e.id = ANY (v_ids) RETURNING e.*)
    INSERT INTO hexmem.queue_command (
        queue, id, sequence, version, modified_at, enqueued_at, ready_at, base_ms, cap_ms, result_ttl, max_attempts,
        attempts, priority, stage, jitter_percent, cancel_requested, group_hash, group_name, progress, last_error,
        headers, payload)
    SELECT g.queue, g.id, v_queue.sequence_base + v_seqs[1 + g.place / 16384] * 16384 + g.place % 16384,
        g.version + 1, v_now, g.enqueued_at, v_now, g.base_ms, g.cap_ms, g.result_ttl, g.max_attempts, 0, g.priority,
        CASE WHEN g.group_hash IS NULL THEN 8 ELSE 2 END, g.jitter_percent, g.cancel_requested, g.group_hash,
        g.group_name, g.progress, g.last_error, g.headers, g.payload
    FROM (
        SELECT gone.*, (row_number() OVER (ORDER BY gone.sequence, gone.id) - 1)::integer AS place FROM gone) AS g;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    PERFORM hexmem.queue_advance(v_queue.queue, v_groups, v_now);
    PERFORM hexmem.queue_ring(v_queue.queue, p_hash);
    RETURN v_count;
END $$;

-- A queue is empty and full by turns. Plans that were made for the one must not be used for the other: every statement
-- has one good plan, the short range of an index, and none is worth compiling. Lists are looked up by a lateral subquery
-- that is never flattened, because one scan of an index that is still empty looks cheaper than a look for each. The settings end with the call, also
-- behind a pooler.
ALTER FUNCTION hexmem.queue_settle SET jit = off SET plan_cache_mode = force_generic_plan SET enable_seqscan = off
    SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off;
ALTER FUNCTION hexmem.queue_hold SET jit = off SET plan_cache_mode = force_generic_plan SET enable_seqscan = off
    SET enable_bitmapscan = off;
ALTER FUNCTION hexmem.queue_file SET jit = off SET plan_cache_mode = force_generic_plan SET enable_seqscan = off
    SET enable_bitmapscan = off;
