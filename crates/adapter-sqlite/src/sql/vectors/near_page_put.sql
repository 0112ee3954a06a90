-- A new page, or one written again.
INSERT INTO vector_near_pages (collection, channel, part, page, version, block)
VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT (collection, channel, part, page) DO UPDATE SET
    version = excluded.version, block = excluded.block
