-- Indexes of dense vectors: graphs in which the nearest are found by walking. Derived from vector_dense: a file
-- without them answers the same, more slowly.

CREATE TABLE vector_near (
    collection INTEGER NOT NULL,
    channel    INTEGER NOT NULL,
    -- Drawn when the index was made: no other index of this collection is taken for it.
    born       INTEGER NOT NULL,
    -- Of the latest change; grows.
    version    INTEGER NOT NULL,
    -- Of ords below it those with the vector are in the graph; the others are compared one by one.
    up_to      INTEGER NOT NULL,
    -- How many points below up_to were live then, and dead ones that the graph still had.
    points     INTEGER NOT NULL,
    -- i8, f16 or f32.
    precision  TEXT    NOT NULL,
    PRIMARY KEY (collection, channel)
) STRICT, WITHOUT ROWID;

-- Pages of 64 places.
CREATE TABLE vector_near_pages (
    collection INTEGER NOT NULL,
    channel    INTEGER NOT NULL,
    -- 0: vectors; n + 1: layer n, members and links.
    part       INTEGER NOT NULL,
    page       INTEGER NOT NULL,
    -- Of the index when the page was last written.
    version    INTEGER NOT NULL,
    block      BLOB    NOT NULL,
    PRIMARY KEY (collection, channel, part, page)
) STRICT;

CREATE INDEX vector_near_pages_version ON vector_near_pages (collection, channel, version);
