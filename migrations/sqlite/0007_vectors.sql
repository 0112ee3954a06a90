-- Collections, aliases and points. Vectors lie in blocks of many points, so that a search reads few fat rows.
--
-- Within a collection a point has a number (its ord), never reused: a point written again gets a new one. Blocks
-- are written once per batch and merged later; what is no longer live is told by bitmaps.
--
-- Channels of a collection: 0 all points, then its dense vectors, its sparse vectors and its indexed fields, each
-- in order of name.

CREATE TABLE vector_collections (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    -- SHA-256 of tenant and name.
    key_hash    BLOB    NOT NULL UNIQUE,
    tenant      TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    -- Of the last creation or drop.
    version     INTEGER NOT NULL,
    modified_at INTEGER NOT NULL,
    -- The highest version given under this name.
    revision    INTEGER NOT NULL,
    -- The stamp; NULL: it was dropped.
    spec        TEXT,
    next_ord    INTEGER NOT NULL,
    points      INTEGER NOT NULL
) STRICT;

CREATE INDEX vector_collections_name ON vector_collections (tenant, name) WHERE spec IS NOT NULL;

CREATE TABLE vector_aliases (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    key_hash    BLOB    NOT NULL UNIQUE,
    tenant      TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    version     INTEGER NOT NULL,
    modified_at INTEGER NOT NULL,
    -- NULL: it was removed.
    target      TEXT,
    target_hash BLOB
) STRICT;

CREATE INDEX vector_aliases_target ON vector_aliases (target_hash) WHERE target_hash IS NOT NULL;

CREATE TABLE vector_points (
    -- collection * 2^32 + ord: points of one batch lie together.
    at          INTEGER PRIMARY KEY,
    collection  INTEGER NOT NULL,
    id          BLOB    NOT NULL,
    version     INTEGER NOT NULL,
    modified_at INTEGER NOT NULL,
    payload     TEXT    NOT NULL,
    -- The sparse vectors, packed.
    sparse      BLOB    NOT NULL
) STRICT;

CREATE UNIQUE INDEX vector_points_id ON vector_points (collection, id);

-- Tombstones, for copies.
CREATE TABLE vector_gone (
    collection INTEGER NOT NULL,
    id         BLOB    NOT NULL,
    version    INTEGER NOT NULL,
    deleted_at INTEGER NOT NULL,
    PRIMARY KEY (collection, id)
) STRICT, WITHOUT ROWID;

-- One bit an ord: for channel 0 whether the point is there, for a sparse vector's whether it has the vector.
CREATE TABLE vector_live (
    collection INTEGER NOT NULL,
    channel    INTEGER NOT NULL,
    -- ord / 16,384.
    chunk      INTEGER NOT NULL,
    bits       BLOB    NOT NULL,
    PRIMARY KEY (collection, channel, chunk)
) STRICT;

-- Runs of ords whose postings lie together.
CREATE TABLE vector_segments (
    collection INTEGER NOT NULL,
    first_ord  INTEGER NOT NULL,
    end_ord    INTEGER NOT NULL,
    -- As written.
    points     INTEGER NOT NULL,
    postings   INTEGER NOT NULL,
    PRIMARY KEY (collection, first_ord)
) STRICT, WITHOUT ROWID;

-- Posting lists of a run of terms: of sparse indices, and of values of indexed fields.
CREATE TABLE vector_postings (
    collection INTEGER NOT NULL,
    channel    INTEGER NOT NULL,
    -- The segment's first_ord.
    segment    INTEGER NOT NULL,
    first_term INTEGER NOT NULL,
    block      BLOB    NOT NULL,
    PRIMARY KEY (collection, channel, segment, first_term)
) STRICT;

-- Dense vectors of a run of ords.
CREATE TABLE vector_dense (
    collection INTEGER NOT NULL,
    channel    INTEGER NOT NULL,
    first_ord  INTEGER NOT NULL,
    vectors    INTEGER NOT NULL,
    -- The ords, as differences.
    ords       BLOB    NOT NULL,
    -- Little-endian f32.
    block      BLOB    NOT NULL,
    PRIMARY KEY (collection, channel, first_ord)
) STRICT;
