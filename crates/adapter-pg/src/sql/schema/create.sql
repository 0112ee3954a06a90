-- What the steps are noted in: older than the first of them.
CREATE TABLE IF NOT EXISTS hexmem.schema_steps (
    version    int4        PRIMARY KEY,
    name       text        NOT NULL,
    sha256     bytea       NOT NULL,
    applied_at timestamptz NOT NULL
)
