-- Keys and values. A deleted key leaves a row with deleted_at and no value.

CREATE TABLE kv_bucket (
    id     INTEGER PRIMARY KEY,
    -- SHA-256 of the length-prefixed tenant and name.
    digest BLOB NOT NULL UNIQUE,
    tenant TEXT NOT NULL,
    name   TEXT NOT NULL
) STRICT;

CREATE TABLE key_value (
    id          INTEGER PRIMARY KEY,
    bucket      INTEGER NOT NULL REFERENCES kv_bucket (id),
    -- UTF-8 as bytes: compared bytewise, also with the bound of a prefix, which need not be text.
    key         BLOB    NOT NULL,
    version     INTEGER NOT NULL,
    modified_at INTEGER NOT NULL,
    expires_at  INTEGER,
    deleted_at  INTEGER,
    -- When the row may be removed: its end, or the end of its tombstone. Only sweep reads it.
    free_at     INTEGER,
    -- Last: a large value does not stand between a reader and the other columns.
    value       BLOB
) STRICT;

CREATE UNIQUE INDEX key_value_key ON key_value (bucket, key);
CREATE INDEX key_value_free ON key_value (free_at) WHERE free_at IS NOT NULL;
