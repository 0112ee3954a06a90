-- Queues: what hands out, stores and completes. Each function is one round trip: it locks, and then looks, in statements
-- of their own, because the snapshot of a single statement is older than the locks that it takes.

-- How many of p_wanted a queue with limits may hand out, as ports::rules::allowance; the bucket after that many
-- were taken is given by queue_bucket.
CREATE FUNCTION hexmem.queue_tokens(p_count bigint, p_per bigint, p_full_at timestamptz, p_now timestamptz)
RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT GREATEST(p_count * i.token - i.owed, 0) / i.token
    FROM (SELECT (p_per + GREATEST(p_count, 1) - 1) / GREATEST(p_count, 1) AS token,
        GREATEST(hexmem.micros(COALESCE(p_full_at, p_now)) - hexmem.micros(p_now), 0) AS owed) AS i
$$;

CREATE FUNCTION hexmem.queue_bucket(
    p_count bigint, p_per bigint, p_full_at timestamptz, p_now timestamptz, p_taken bigint)
RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN p_taken = 0 THEN COALESCE(p_full_at, p_now) ELSE hexmem.later(
        GREATEST(COALESCE(p_full_at, p_now), p_now),
        (p_per + GREATEST(p_count, 1) - 1) / GREATEST(p_count, 1) * p_taken) END
$$;

-- Hands out. One round trip; a queue with limits is locked first, so that they hold over all workers.
-- p_floors: for each of p_floor_priorities the sequence before which no fresh command is left.
CREATE FUNCTION hexmem.queue_lease(
    p_hash bytea, p_tenant text, p_name text, p_worker text, p_max integer, p_visibility bigint, p_key bytea,
    p_floor_priorities smallint[], p_floors bigint[], p_due_since timestamptz, p_most integer,
    p_slack bigint, p_waits bigint)
RETURNS TABLE (
    now timestamptz, due_at timestamptz, piled_up boolean, id uuid, attempt integer, lease bytea, payload bytea,
    headers text, group_name text, deadline timestamptz, leased_until timestamptz, priority smallint, sequence bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_queue    hexmem.queue;
    v_now      timestamptz;
    v_until    timestamptz;
    v_limited  boolean;
    v_left     bigint := p_max;
    v_priority smallint;
    v_part     tid[];
    v_rows     tid[] := '{}';
    v_due      timestamptz;
    v_worker   bytea;
BEGIN
    SELECT q.* INTO v_queue FROM hexmem.queue AS q WHERE q.queue_hash = p_hash;
    IF v_queue.queue IS NULL THEN
        v_queue := hexmem.queue_open(p_hash, p_tenant, p_name);
    END IF;
    v_limited := v_queue.max_in_flight IS NOT NULL OR v_queue.rate_count IS NOT NULL;
    IF v_limited THEN
        SELECT q.* INTO v_queue FROM hexmem.queue AS q WHERE q.queue = v_queue.queue FOR UPDATE;
    END IF;
    IF hexmem.queue_settle(v_queue.queue, p_due_since, p_most) = p_most THEN
        -- Others get their turn between the batches.
        RETURN QUERY SELECT hexmem.now(), NULL::timestamptz, true, NULL::uuid, NULL::integer, NULL::bytea, NULL::bytea,
            NULL::text, NULL::text, NULL::timestamptz, NULL::timestamptz, NULL::smallint, NULL::bigint;
        RETURN;
    END IF;
    v_now := hexmem.now();
    IF v_queue.max_in_flight IS NOT NULL THEN
        SELECT LEAST(v_left, GREATEST(v_queue.max_in_flight - count(*), 0)) INTO v_left
        FROM hexmem.queue_command AS c
        WHERE c.queue = v_queue.queue AND c.stage = 3 AND c.due_at IS NOT NULL;
    END IF;
    IF v_queue.rate_count IS NOT NULL THEN
        v_left := LEAST(v_left, hexmem.queue_tokens(
            v_queue.rate_count, v_queue.rate_per, v_queue.bucket_full_at, v_now));
    END IF;

    FOREACH v_priority IN ARRAY v_queue.priorities LOOP
        EXIT WHEN v_left = 0;
        WITH again AS MATERIALIZED (
            SELECT c.ctid, c.sequence FROM hexmem.queue_command AS c
            WHERE c.queue = v_queue.queue AND c.stage = 8 AND c.priority = v_priority
                AND (c.deadline IS NULL OR c.deadline > v_now)
            ORDER BY c.sequence LIMIT v_left FOR UPDATE SKIP LOCKED),
        fresh AS MATERIALIZED (
            SELECT c.ctid, c.sequence FROM hexmem.queue_command AS c
            WHERE c.queue = v_queue.queue AND c.stage = 0 AND c.priority = v_priority
                AND c.sequence >= COALESCE(p_floors[array_position(p_floor_priorities, v_priority)], 0)
                AND (c.deadline IS NULL OR c.deadline > v_now)
            ORDER BY c.sequence LIMIT v_left FOR UPDATE SKIP LOCKED)
        SELECT array_agg(both_.ctid) INTO v_part FROM (
            SELECT * FROM again UNION ALL SELECT * FROM fresh ORDER BY sequence LIMIT v_left) AS both_;
        IF v_part IS NOT NULL THEN
            v_rows := v_rows || v_part;
            v_left := v_left - cardinality(v_part);
        END IF;
    END LOOP;

    v_now := hexmem.now();
    IF v_queue.rate_count IS NOT NULL THEN
        UPDATE hexmem.queue AS q SET bucket_full_at = hexmem.queue_bucket(
            q.rate_count, q.rate_per, q.bucket_full_at, v_now, cardinality(v_rows))
        WHERE q.queue = v_queue.queue AND cardinality(v_rows) > 0;
    END IF;
    -- Whoever was seen a moment ago is not written again; a wait is renewed when half of it is over.
    v_worker := sha256(convert_to(p_worker, 'UTF8'));
    IF NOT EXISTS (
        SELECT 1 FROM hexmem.queue_worker AS w
        WHERE w.queue = v_queue.queue AND w.worker_hash = v_worker AND w.seen_at <= v_now AND CASE
            WHEN p_waits IS NULL OR cardinality(v_rows) > 0
                THEN w.waits_until IS NULL AND w.seen_at > v_now - p_slack * interval '1 microsecond'
            ELSE w.waits_until > v_now + p_waits / 2 * interval '1 microsecond' END) THEN
        INSERT INTO hexmem.queue_worker AS w (queue, worker_hash, seen_at, waits_until)
        VALUES (v_queue.queue, v_worker, v_now,
            CASE WHEN cardinality(v_rows) = 0 THEN v_now + p_waits * interval '1 microsecond' END)
        ON CONFLICT (queue, worker_hash) DO UPDATE SET
            seen_at = EXCLUDED.seen_at, waits_until = EXCLUDED.waits_until;
    END IF;
    IF cardinality(v_rows) = 0 THEN
        IF p_waits IS NOT NULL THEN
            SELECT min(first.due_at) INTO v_due
            FROM unnest('{0,1,2,3,8}'::smallint[]) AS s (stage) CROSS JOIN LATERAL (
                SELECT c.due_at FROM hexmem.queue_command AS c
                WHERE c.queue = v_queue.queue AND c.stage = s.stage AND c.due_at > p_due_since
                ORDER BY c.due_at LIMIT 1) AS first;
        END IF;
        RETURN QUERY SELECT v_now, v_due, false, NULL::uuid, NULL::integer, NULL::bytea, NULL::bytea,
            NULL::text, NULL::text, NULL::timestamptz, NULL::timestamptz, NULL::smallint, NULL::bigint;
        RETURN;
    END IF;
    v_until := hexmem.later(v_now, p_visibility);
    RETURN QUERY
        UPDATE hexmem.queue_command AS c SET
            stage = 3, attempts = c.attempts + 1, leased_until = v_until, due_at = v_until, worker = p_worker,
            lease = int4send(c.attempts + 1) || substr(sha256(p_key || uuid_send(c.id)), 1, 16),
            settlement = NULL, version = c.version + 1, modified_at = v_now
        WHERE c.ctid = ANY (v_rows)
        RETURNING v_now, NULL::timestamptz, false, c.id, c.attempts, c.lease, c.payload, c.headers, c.group_name,
            c.deadline, c.leased_until, c.priority, c.sequence;
END $$;

-- The smallest sequence of a fresh command that can be seen, for each priority, and the last one that was given out.
CREATE FUNCTION hexmem.queue_floors(p_hash bytea, p_floor_priorities smallint[], p_floors bigint[])
RETURNS TABLE (priority smallint, lowest bigint, given bigint) LANGUAGE sql STABLE AS $$
    SELECT p.priority,
        (SELECT c.sequence FROM hexmem.queue_command AS c
            WHERE c.queue = q.queue AND c.stage = 0 AND c.priority = p.priority
                AND c.sequence >= COALESCE(p_floors[array_position(p_floor_priorities, p.priority)], 0)
            ORDER BY c.sequence LIMIT 1),
        q.sequence_base + s.last_value * 16384
    FROM hexmem.queue AS q CROSS JOIN hexmem.queue_sequence AS s CROSS JOIN unnest(q.priorities) AS p (priority)
    WHERE q.queue_hash = p_hash
$$;

-- Whether a reader may see a command of this id, waiting, running or ended.
CREATE FUNCTION hexmem.queue_seen(p_queue bigint, p_id uuid, p_now timestamptz) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT 1 FROM hexmem.queue_command AS c WHERE c.queue = p_queue AND c.id = p_id)
        OR EXISTS (
            SELECT 1 FROM hexmem.queue_ended AS e WHERE e.queue = p_queue AND e.id = p_id
                AND e.deleted_at IS NULL AND (e.free_at IS NULL OR e.free_at > p_now))
$$;

-- The queue, which knows of these priorities, and of groups if there are some: written once for each, and a transaction
-- that goes on for long must not be the one that writes it.
CREATE FUNCTION hexmem.queue_prepare(
    p_hash bytea, p_tenant text, p_name text, p_priorities smallint[], p_grouped boolean)
RETURNS hexmem.queue LANGUAGE plpgsql AS $$
DECLARE
    v_queue hexmem.queue;
BEGIN
    SELECT q.* INTO v_queue FROM hexmem.queue AS q WHERE q.queue_hash = p_hash;
    IF v_queue.queue IS NULL THEN
        v_queue := hexmem.queue_open(p_hash, p_tenant, p_name);
    END IF;
    IF NOT (p_priorities <@ v_queue.priorities) OR (p_grouped AND NOT v_queue.grouped) THEN
        UPDATE hexmem.queue AS q SET
            grouped = q.grouped OR p_grouped,
            priorities = (
                SELECT array_agg(DISTINCT p.p ORDER BY p.p DESC) FROM unnest(q.priorities || p_priorities) AS p (p))
        WHERE q.queue = v_queue.queue
        RETURNING q.* INTO v_queue;
    END IF;
    RETURN v_queue;
END $$;

-- Stores what is new of a list. One round trip; groups are locked first and places in the order taken after that.
-- Returns the ids stored now, and where keys or consumers decide an answer for each: 0 store, 1 known, 2 the key is
-- taken by `first`, 3 no consumer. p_stage: 0, or 8 where the transaction goes on after this.
CREATE FUNCTION hexmem.queue_enqueue(
    p_hash bytea, p_tenant text, p_name text, p_stage smallint, p_idle bigint, p_slack bigint,
    p_ids uuid[], p_payloads bytea[], p_headers text[], p_priorities smallint[], p_delays bigint[],
    p_deadlines timestamptz[], p_groups text[], p_group_hashes bytea[], p_max_attempts integer[], p_base_ms bigint[],
    p_cap_ms bigint[], p_jitter smallint[], p_result_ttl bigint[], p_keys text[], p_key_hashes bytea[],
    p_windows bigint[],
    OUT stored uuid[], OUT answers smallint[], OUT firsts uuid[])
LANGUAGE plpgsql AS $$
DECLARE
    v_queue hexmem.queue;
    v_now   timestamptz;
    v_count integer := cardinality(p_ids);
    v_idle  boolean := false;
    v_first uuid;
    v_seqs  bigint[];
    v_old   record;
BEGIN
    v_queue := hexmem.queue_prepare(p_hash, p_tenant, p_name, p_priorities, p_group_hashes IS NOT NULL);
    IF p_group_hashes IS NOT NULL THEN
        PERFORM hexmem.queue_lock_groups(v_queue.queue, p_group_hashes);
    END IF;
    v_now := hexmem.now();

    IF p_idle IS NOT NULL THEN
        v_idle := (v_queue.consumer_seen_at IS NULL OR hexmem.later(v_queue.consumer_seen_at, p_idle) <= v_now)
            AND NOT EXISTS (
            SELECT 1 FROM hexmem.queue_worker AS w WHERE w.queue = v_queue.queue
                AND (hexmem.later(w.seen_at, p_idle + p_slack) > v_now OR w.waits_until > v_now));
    END IF;
    IF v_idle OR p_key_hashes IS NOT NULL THEN
        answers := array_fill(0::smallint, ARRAY[v_count]);
        firsts := array_fill(NULL::uuid, ARRAY[v_count]);
        FOR i IN 1 .. v_count LOOP
            IF i > array_position(p_ids, p_ids[i]) AND answers[array_position(p_ids, p_ids[i])] < 2
                OR hexmem.queue_seen(v_queue.queue, p_ids[i], v_now) THEN
                answers[i] := 1;
                CONTINUE;
            END IF;
            v_first := NULL;
            IF p_key_hashes[i] IS NOT NULL AND v_idle THEN
                SELECT d.command INTO v_first FROM hexmem.queue_dedupe AS d
                WHERE d.queue = v_queue.queue AND d.key_hash = p_key_hashes[i] AND d.until > v_now;
            ELSIF p_key_hashes[i] IS NOT NULL THEN
                INSERT INTO hexmem.queue_dedupe AS d (queue, key_hash, key, command, until, set_at)
                VALUES (v_queue.queue, p_key_hashes[i], p_keys[i], p_ids[i],
                    hexmem.later(v_now, p_windows[i]), v_now)
                ON CONFLICT (queue, key_hash) DO UPDATE SET
                    command = EXCLUDED.command, until = EXCLUDED.until, set_at = EXCLUDED.set_at
                WHERE d.until <= hexmem.now();
                IF NOT FOUND THEN
                    -- Whoever had the key may have been waited for, and may be a repeat of this very call.
                    SELECT d.command INTO v_first FROM hexmem.queue_dedupe AS d
                    WHERE d.queue = v_queue.queue AND d.key_hash = p_key_hashes[i];
                    IF hexmem.queue_seen(v_queue.queue, p_ids[i], v_now) THEN
                        answers[i] := 1;
                        CONTINUE;
                    END IF;
                END IF;
            END IF;
            IF v_first IS NOT NULL THEN
                answers[i] := 2;
                firsts[i] := v_first;
            ELSIF v_idle THEN
                answers[i] := 3;
            END IF;
        END LOOP;
    END IF;

    v_seqs := ARRAY(
        SELECT nextval('hexmem.queue_sequence') FROM generate_series(0, (v_count - 1) / 16384));
    WITH put AS (
        INSERT INTO hexmem.queue_command (
            queue, id, sequence, version, modified_at, enqueued_at, ready_at, deadline, due_at, base_ms, cap_ms,
            result_ttl, max_attempts, attempts, priority, stage, jitter_percent, group_hash, group_name, headers,
            payload)
        SELECT v_queue.queue, i.id,
            v_queue.sequence_base + v_seqs[1 + (i.place - 1) / 16384] * 16384 + (i.place - 1) % 16384,
            1, v_now, v_now, i.ready_at, i.deadline,
            CASE WHEN i.group_hash IS NULL AND i.ready_at > v_now
                THEN GREATEST(LEAST(i.ready_at, i.deadline), v_now)
                WHEN i.deadline IS NOT NULL THEN GREATEST(i.deadline, v_now) END,
            i.base_ms, i.cap_ms, i.result_ttl, i.max_attempts, 0, i.priority,
            CASE WHEN i.group_hash IS NOT NULL THEN 2 WHEN i.ready_at > v_now THEN 1 ELSE p_stage END,
            i.jitter, i.group_hash, i.group_name, i.headers, i.payload
        FROM (
            SELECT u.id, u.payload, u.headers, u.priority, u.deadline, u.group_name, u.group_hash, u.max_attempts,
                u.base_ms, u.cap_ms, u.jitter, u.result_ttl, u.place::integer AS place,
                CASE WHEN u.delay IS NULL THEN v_now ELSE hexmem.later(v_now, u.delay) END AS ready_at
            FROM unnest(
                p_ids, p_payloads, p_headers, p_priorities, p_delays, p_deadlines, p_groups, p_group_hashes,
                p_max_attempts, p_base_ms, p_cap_ms, p_jitter, p_result_ttl)
            WITH ORDINALITY AS u (
                id, payload, headers, priority, delay, deadline, group_name, group_hash, max_attempts, base_ms, cap_ms,
                jitter, result_ttl, place)) AS i
        WHERE answers IS NULL OR answers[i.place] = 0
        ON CONFLICT (queue, id) DO NOTHING
        RETURNING queue_command.id)
    SELECT array_agg(put.id) INTO stored FROM put;

    IF stored IS NOT NULL THEN
        -- Now that the ids are ours: one that has ended and can still be viewed is a repeat; over one that cannot
        -- the version goes on.
        FOR v_old IN
            SELECT e.id, e.version, e.deleted_at IS NULL AND (e.free_at IS NULL OR e.free_at > v_now) AS seen
            FROM unnest(stored) AS s (id) CROSS JOIN LATERAL (
                SELECT o.* FROM hexmem.queue_ended AS o
                WHERE o.queue = v_queue.queue AND o.id = s.id OFFSET 0) AS e
        LOOP
            IF v_old.seen THEN
                DELETE FROM hexmem.queue_command AS c WHERE c.queue = v_queue.queue AND c.id = v_old.id;
                stored := array_remove(stored, v_old.id);
            ELSE
                DELETE FROM hexmem.queue_ended AS e WHERE e.queue = v_queue.queue AND e.id = v_old.id;
                UPDATE hexmem.queue_command AS c SET version = v_old.version + 1
                WHERE c.queue = v_queue.queue AND c.id = v_old.id;
            END IF;
        END LOOP;
    END IF;
    IF p_group_hashes IS NOT NULL THEN
        PERFORM hexmem.queue_advance(v_queue.queue, p_group_hashes, v_now);
    END IF;
    IF cardinality(stored) > 0 THEN
        PERFORM hexmem.queue_ring(v_queue.queue, p_hash);
    END IF;
END $$;

-- Completes what is held under the leases of a list and keeps the results. An answer for each: 0 stale, 1 completed
-- now, 2 completed before under this lease.
CREATE FUNCTION hexmem.queue_ack(
    p_hash bytea, p_ids uuid[], p_leases bytea[], p_results bytea[], OUT answers smallint[])
LANGUAGE plpgsql AS $$
DECLARE
    v_queue   bigint;
    v_grouped boolean;
    v_groups  bytea[];
    v_now     timestamptz;
    v_rows    tid[];
    v_places  integer[];
    v_results bytea[];
    v_done    integer[];
    v_place   integer;
    v_awaited uuid[];
BEGIN
    answers := array_fill(0::smallint, ARRAY[cardinality(p_ids)]);
    SELECT q.queue, q.grouped INTO v_queue, v_grouped FROM hexmem.queue AS q WHERE q.queue_hash = p_hash;
    IF v_queue IS NULL THEN
        RETURN;
    END IF;
    IF v_grouped THEN
        SELECT array_agg(DISTINCT c.group_hash) FILTER (WHERE c.group_hash IS NOT NULL) INTO v_groups
        FROM unnest(p_ids) AS i (id) CROSS JOIN LATERAL (
            SELECT o.group_hash FROM hexmem.queue_command AS o
            WHERE o.queue = v_queue AND o.id = i.id OFFSET 0) AS c;
        IF v_groups IS NOT NULL THEN
            PERFORM hexmem.queue_lock_groups(v_queue, v_groups);
        END IF;
    END IF;
    -- One look by the whole key for each, whatever the planner knows of the table: see the end of 0004.
    SELECT array_agg(c.ctid), array_agg(i.place::integer), array_agg(i.result) INTO v_rows, v_places, v_results
    FROM unnest(p_ids, p_leases, p_results) WITH ORDINALITY AS i (id, lease, result, place)
    CROSS JOIN LATERAL (
        SELECT o.ctid FROM hexmem.queue_command AS o
        -- The time is looked at again where the row was waited for.
        WHERE o.queue = v_queue AND o.id = i.id AND o.stage = 3 AND o.lease = i.lease
            AND o.leased_until > hexmem.now()
        FOR UPDATE) AS c;
    v_now := hexmem.now();
    WITH gone AS (
        DELETE FROM hexmem.queue_command AS c
        USING unnest(v_rows, v_places, v_results) AS i (row, place, result)
        WHERE c.ctid = i.row
        RETURNING c.*, i.result, i.place),
    kept AS (
        INSERT INTO hexmem.queue_ended (
            queue, id, sequence, version, modified_at, enqueued_at, ready_at, deadline, ended_at, free_at, base_ms,
            cap_ms, result_ttl, max_attempts, attempts, priority, stage, jitter_percent, cancel_requested, group_hash,
            group_name, lease, settlement, progress, last_error, headers, payload, result)
        SELECT g.queue, g.id, g.sequence, g.version + 1, v_now, g.enqueued_at, g.ready_at, g.deadline, v_now,
            hexmem.later(v_now, g.result_ttl), g.base_ms, g.cap_ms, g.result_ttl, g.max_attempts, g.attempts,
            g.priority, 4, g.jitter_percent, g.cancel_requested, g.group_hash, g.group_name, g.lease, '"acked"',
            g.progress, g.last_error, g.headers, g.payload, g.result
        FROM gone AS g)
    SELECT array_agg(g.place), array_agg(g.id) FILTER (WHERE g.awaited) INTO v_done, v_awaited
    FROM gone AS g;
    IF cardinality(v_done) = cardinality(p_ids) THEN
        answers := array_fill(1::smallint, ARRAY[cardinality(p_ids)]);
    ELSE
        FOR v_place IN
            SELECT i.place::integer FROM unnest(p_ids, p_leases) WITH ORDINALITY AS i (id, lease, place)
            CROSS JOIN LATERAL (
                SELECT o.* FROM hexmem.queue_ended AS o WHERE o.queue = v_queue AND o.id = i.id OFFSET 0) AS e
            WHERE e.lease = i.lease AND e.settlement = '"acked"' AND e.deleted_at IS NULL AND e.free_at > v_now
        LOOP
            answers[v_place] := 2;
        END LOOP;
        FOREACH v_place IN ARRAY COALESCE(v_done, '{}') LOOP
            answers[v_place] := 1;
        END LOOP;
    END IF;
    IF v_groups IS NOT NULL THEN
        PERFORM hexmem.queue_advance(v_queue, v_groups, v_now);
    END IF;
    IF v_groups IS NOT NULL THEN
        PERFORM hexmem.queue_ring(v_queue, p_hash);
    END IF;
    PERFORM hexmem.notify('r' || encode(p_hash, 'hex') || u.id) FROM unnest(v_awaited) AS u (id);
END $$;

-- Renews what is held under the leases of a list. A longer lease leaves due_at alone, so that no index is touched.
CREATE FUNCTION hexmem.queue_extend(p_hash bytea, p_ids uuid[], p_leases bytea[], p_visibility bigint)
RETURNS TABLE (id uuid, lease bytea, leased_until timestamptz, cancel_requested boolean) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_queue bigint;
    v_rows  tid[];
    v_now   timestamptz;
BEGIN
    SELECT q.queue INTO v_queue FROM hexmem.queue AS q WHERE q.queue_hash = p_hash;
    SELECT array_agg(c.ctid) INTO v_rows
    FROM (SELECT DISTINCT u.id, u.lease FROM unnest(p_ids, p_leases) AS u (id, lease) ORDER BY 1, 2) AS i
    CROSS JOIN LATERAL (
        SELECT o.ctid FROM hexmem.queue_command AS o
        WHERE o.queue = v_queue AND o.id = i.id AND o.stage = 3 AND o.lease = i.lease
            AND o.leased_until > hexmem.now()
        FOR UPDATE) AS c;
    v_now := hexmem.now();
    RETURN QUERY
        UPDATE hexmem.queue_command AS c SET
            leased_until = hexmem.later(v_now, p_visibility),
            due_at = LEAST(c.due_at, hexmem.later(v_now, p_visibility)),
            version = c.version + 1, modified_at = v_now
        WHERE c.ctid = ANY (v_rows)
        RETURNING c.id, c.lease, c.leased_until, c.cancel_requested;
END $$;

-- As queue_settle: no plan of an empty queue for a full one.
ALTER FUNCTION hexmem.queue_lease SET jit = off SET plan_cache_mode = force_generic_plan SET enable_seqscan = off
    SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off;
ALTER FUNCTION hexmem.queue_floors SET jit = off SET enable_seqscan = off SET enable_bitmapscan = off;
ALTER FUNCTION hexmem.queue_enqueue SET jit = off SET plan_cache_mode = force_generic_plan SET enable_seqscan = off
    SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off;
ALTER FUNCTION hexmem.queue_ack SET jit = off SET plan_cache_mode = force_generic_plan SET enable_seqscan = off
    SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off;
ALTER FUNCTION hexmem.queue_extend SET jit = off SET plan_cache_mode = force_generic_plan SET enable_seqscan = off
    SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off;
