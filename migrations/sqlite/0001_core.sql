-- What every port shares: effects that wait to be done, and remembered answers.

CREATE TABLE outbox (
    -- Never reused, so that the order of commits survives a drained outbox.
    sequence     INTEGER PRIMARY KEY AUTOINCREMENT,
    effect_id    BLOB    NOT NULL,
    topic        TEXT    NOT NULL,
    key          TEXT    NOT NULL,
    -- SHA-256 of the key: a short entry in the index.
    key_hash     BLOB    NOT NULL,
    payload      TEXT    NOT NULL,
    committed_at INTEGER NOT NULL,
    lease        BLOB,
    leased_until INTEGER
) STRICT;

-- Which keys are held, and the entries of a lease.
CREATE INDEX outbox_held ON outbox (leased_until, key_hash) WHERE leased_until IS NOT NULL;
CREATE INDEX outbox_lease ON outbox (lease) WHERE lease IS NOT NULL;

CREATE TABLE replay (
    op_hash    BLOB    PRIMARY KEY,
    answer     BLOB    NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX replay_expiry ON replay (expires_at);
