-- What is counted of a cache: by namespace, by model and by tag.

CREATE TABLE cache_counter (
    room   INTEGER NOT NULL REFERENCES cache_room (id),
    -- namespace, model or tag.
    kind   TEXT    NOT NULL,
    -- Empty for the namespace, and for the names of a room that have no counts of their own.
    name   TEXT    NOT NULL,
    -- A JSON object of counts by name; one that is not there is 0.
    counts TEXT    NOT NULL,
    PRIMARY KEY (room, kind, name)
) STRICT, WITHOUT ROWID;

INSERT INTO cache_counter (room, kind, name, counts)
SELECT id, 'namespace', '', json_object('hits', hits, 'misses', misses)
FROM cache_room
WHERE hits > 0 OR misses > 0;

ALTER TABLE cache_room DROP COLUMN hits;
ALTER TABLE cache_room DROP COLUMN misses;
