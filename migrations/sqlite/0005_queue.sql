-- Queues: commands filed by stage, so that each question a worker asks is one short index range.

CREATE TABLE queue (
    -- Short, so that every index below starts with a few bytes and not with a digest.
    queue              INTEGER PRIMARY KEY,
    -- SHA-256 of tenant and name.
    queue_hash         BLOB    NOT NULL UNIQUE,
    tenant             TEXT    NOT NULL,
    name               TEXT    NOT NULL,
    next_sequence      INTEGER NOT NULL DEFAULT 0,
    consumer_seen_at   INTEGER,
    max_in_flight      INTEGER,
    rate_count         INTEGER,
    rate_per           INTEGER,
    -- 0: limits were never set.
    limits_version     INTEGER NOT NULL DEFAULT 0,
    limits_modified_at INTEGER,
    -- When the token bucket of the rate is full again.
    bucket_full_at     INTEGER
) STRICT;

CREATE UNIQUE INDEX queue_name ON queue (tenant, name);

CREATE TABLE queue_command (
    row              INTEGER PRIMARY KEY,
    queue            INTEGER NOT NULL,
    id               BLOB    NOT NULL,
    -- 0 ready, 1 parked (delayed), 2 blocked (behind its group), 3 leased, 4 completed, 5 dead, 6 cancelled,
    -- 7 purged (a tombstone).
    stage            INTEGER NOT NULL,
    sequence         INTEGER NOT NULL,
    priority         INTEGER NOT NULL,
    group_name       TEXT,
    group_hash       BLOB,
    -- When time alone changes the stage: the end of a lease, a delay or a deadline.
    due_at           INTEGER,
    -- When an outcome or a tombstone is over.
    free_at          INTEGER,
    version          INTEGER NOT NULL,
    modified_at      INTEGER NOT NULL,
    enqueued_at      INTEGER NOT NULL,
    ready_at         INTEGER NOT NULL,
    deadline         INTEGER,
    max_attempts     INTEGER NOT NULL,
    base_ms          INTEGER NOT NULL,
    cap_ms           INTEGER NOT NULL,
    jitter_percent   INTEGER NOT NULL,
    result_ttl       INTEGER NOT NULL,
    attempts         INTEGER NOT NULL,
    leased_until     INTEGER,
    worker           TEXT,
    -- Attempt (4 bytes) and secret (16 bytes) of the last delivery, both big-endian.
    lease            BLOB,
    -- How that delivery ended, as JSON.
    settlement       TEXT    NOT NULL,
    cancel_requested INTEGER NOT NULL,
    progress         TEXT,
    last_error       TEXT,
    ended_at         INTEGER,
    deleted_at       INTEGER
) STRICT;

CREATE UNIQUE INDEX queue_command_id ON queue_command (queue, id);
-- The lease statement: a range scan over what can be handed out now, and nothing else.
CREATE INDEX queue_command_ready ON queue_command (queue, priority DESC, sequence) WHERE stage = 0;
CREATE INDEX queue_command_due ON queue_command (queue, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX queue_command_leased ON queue_command (queue) WHERE stage = 3;
-- The head of a group is its first entry here, however long the group is.
CREATE INDEX queue_command_group ON queue_command (queue, group_hash, sequence, id)
    WHERE group_hash IS NOT NULL AND stage <= 3;
CREATE INDEX queue_command_dead ON queue_command (queue, id) WHERE stage = 5;
CREATE INDEX queue_command_free ON queue_command (queue, free_at) WHERE free_at IS NOT NULL;

-- Apart from the command, which changes with each delivery: a payload is written once.
CREATE TABLE queue_body (
    row     INTEGER PRIMARY KEY REFERENCES queue_command (row) ON DELETE CASCADE,
    payload BLOB    NOT NULL,
    headers TEXT    NOT NULL
) STRICT;

CREATE TABLE queue_result (
    row    INTEGER PRIMARY KEY REFERENCES queue_command (row) ON DELETE CASCADE,
    result BLOB    NOT NULL
) STRICT;

CREATE TABLE queue_dedupe (
    queue   INTEGER NOT NULL,
    key     TEXT    NOT NULL,
    command BLOB    NOT NULL,
    until   INTEGER NOT NULL,
    set_at  INTEGER NOT NULL,
    PRIMARY KEY (queue, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX queue_dedupe_until ON queue_dedupe (until);

CREATE TABLE queue_worker (
    queue       INTEGER NOT NULL,
    worker      TEXT    NOT NULL,
    seen_at     INTEGER NOT NULL,
    -- While it waits for a command: until when that can be believed without another word.
    waits_until INTEGER,
    PRIMARY KEY (queue, worker)
) STRICT, WITHOUT ROWID;

CREATE INDEX queue_worker_seen ON queue_worker (seen_at);

CREATE TABLE queue_schedule (
    queue       INTEGER NOT NULL,
    name        TEXT    NOT NULL,
    spec        TEXT    NOT NULL,
    next_at     INTEGER,
    version     INTEGER NOT NULL,
    -- The version that the last put expected: a repeat of it gets the present one.
    put_over    INTEGER,
    template    TEXT    NOT NULL,
    modified_at INTEGER NOT NULL,
    deleted_at  INTEGER,
    PRIMARY KEY (queue, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX queue_schedule_deleted ON queue_schedule (deleted_at) WHERE deleted_at IS NOT NULL;
