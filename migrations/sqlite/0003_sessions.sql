-- The tables of sessions.

CREATE TABLE sessions (
    -- In the order of creation; what cursors over clusters and correlations remember.
    seq                 INTEGER PRIMARY KEY,
    tenant              TEXT    NOT NULL,
    user_name           TEXT    NOT NULL,
    -- SHA-256 of tenant and user: a short entry in the index, whatever the names.
    owner               BLOB    NOT NULL,
    id                  BLOB    NOT NULL,
    data                TEXT    NOT NULL,
    cluster             TEXT,
    -- SHA-256 of tenant and cluster, of tenant and correlation.
    cluster_key         BLOB,
    correlation         TEXT,
    correlation_key     BLOB,
    service             TEXT,
    ip                  TEXT,
    user_agent          TEXT,
    auth_hash           BLOB,
    created_at          INTEGER NOT NULL,
    last_seen_at        INTEGER NOT NULL,
    -- Never beyond the absolute end, so it alone says whether the session has run out.
    idle_expires_at     INTEGER NOT NULL,
    absolute_expires_at INTEGER NOT NULL,
    token_issued_at     INTEGER NOT NULL,
    revoked_at          INTEGER,
    idle                INTEGER NOT NULL,
    retention           INTEGER NOT NULL,
    version             INTEGER NOT NULL,
    revision            INTEGER NOT NULL,
    modified_at         INTEGER NOT NULL,
    last_op             BLOB,
    -- What the create revoked, ids in hex with spaces between: the answer to a repeat.
    evicted             TEXT    NOT NULL,
    -- When the sweep looks at it next: a lower bound, so that a touch changes no index.
    sweep_at            INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX sessions_id ON sessions (owner, id);
CREATE INDEX sessions_cluster ON sessions (cluster_key, seq) WHERE cluster_key IS NOT NULL;
CREATE INDEX sessions_correlation ON sessions (correlation_key, seq) WHERE correlation_key IS NOT NULL;
CREATE INDEX sessions_tenant ON sessions (tenant) WHERE revoked_at IS NULL;
CREATE INDEX sessions_sweep ON sessions (sweep_at);

CREATE TABLE session_tokens (
    bucket      INTEGER NOT NULL,
    -- SHA-256 of the secret. The secret itself is nowhere.
    hash        BLOB    NOT NULL,
    session     INTEGER NOT NULL REFERENCES sessions (seq) ON DELETE CASCADE,
    -- The token it replaced; NULL for the one the session was created with.
    replaces    BLOB,
    -- When it ends or ended; NULL for the current one.
    valid_until INTEGER,
    PRIMARY KEY (bucket, hash)
) STRICT, WITHOUT ROWID;

CREATE INDEX session_tokens_session ON session_tokens (session);
