-- Only on the version that the change was made from: of two processes that tend an index one wins.
INSERT INTO vector_near (collection, channel, version, up_to, points, precision, born)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
ON CONFLICT (collection, channel) DO UPDATE SET
    version = excluded.version, up_to = excluded.up_to, points = excluded.points
WHERE version = ?8 AND born = ?7
