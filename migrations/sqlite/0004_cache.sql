-- Cached answers, the generations of their tags, flights and counters.

-- A namespace. Kept for its counters.
CREATE TABLE cache_room (
    id     INTEGER PRIMARY KEY,
    -- SHA-256 of tenant and name.
    digest BLOB    NOT NULL UNIQUE,
    tenant TEXT    NOT NULL,
    name   TEXT    NOT NULL,
    hits   INTEGER NOT NULL DEFAULT 0,
    misses INTEGER NOT NULL DEFAULT 0
) STRICT;

-- The generation of a tag. NULL: an entry was restored before its tag; nothing matches it.
CREATE TABLE cache_tag (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    -- SHA-256 of tenant, namespace, kind and name.
    digest      BLOB    NOT NULL UNIQUE,
    room        INTEGER NOT NULL REFERENCES cache_room (id),
    kind        TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    generation  BLOB,
    version     INTEGER NOT NULL,
    modified_at INTEGER NOT NULL
) STRICT;

-- A key: its answer (from stored_at on; all NULL in a tombstone) and its last invalidation.
CREATE TABLE cache_entry (
    id               INTEGER PRIMARY KEY,
    -- SHA-256 of tenant, namespace and fingerprint.
    digest           BLOB    NOT NULL UNIQUE,
    room             INTEGER NOT NULL REFERENCES cache_room (id),
    fingerprint      BLOB    NOT NULL,
    version          INTEGER NOT NULL,
    modified_at      INTEGER NOT NULL,
    invalidation     BLOB,
    remembered_until INTEGER,
    stored_at        INTEGER,
    fresh_until      INTEGER,
    expires_at       INTEGER,
    size             INTEGER,
    meta             TEXT,
    -- Last: the other columns are read without its overflow pages.
    value            BLOB
) STRICT;

CREATE INDEX cache_entry_room ON cache_entry (room, expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX cache_entry_expiry ON cache_entry (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX cache_entry_tombstone ON cache_entry (remembered_until) WHERE expires_at IS NULL;

-- What an answer depends on, with the generations it was stored with.
CREATE TABLE cache_entry_tag (
    entry      INTEGER NOT NULL REFERENCES cache_entry (id) ON DELETE CASCADE,
    tag        INTEGER NOT NULL REFERENCES cache_tag (id),
    generation BLOB    NOT NULL,
    PRIMARY KEY (entry, tag)
) STRICT, WITHOUT ROWID;

CREATE INDEX cache_entry_tag_tag ON cache_entry_tag (tag, generation);

-- Generations that were replaced, whose answers wait to be freed.
CREATE TABLE cache_ended (
    tag        INTEGER NOT NULL REFERENCES cache_tag (id) ON DELETE CASCADE,
    generation BLOB    NOT NULL,
    PRIMARY KEY (tag, generation)
) STRICT, WITHOUT ROWID;

-- Who computes an answer, alone among processes.
CREATE TABLE cache_flight (
    digest     BLOB    PRIMARY KEY,
    lease      BLOB    NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX cache_flight_expiry ON cache_flight (expires_at);
