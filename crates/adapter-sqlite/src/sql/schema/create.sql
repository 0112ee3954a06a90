-- What was applied, when, and the hash of its text, so that a step changed afterwards is noticed.
CREATE TABLE IF NOT EXISTS hexmem_schema (
    version    INTEGER PRIMARY KEY,
    name       TEXT    NOT NULL,
    applied_at INTEGER NOT NULL,
    sha256     TEXT    NOT NULL
) STRICT;
