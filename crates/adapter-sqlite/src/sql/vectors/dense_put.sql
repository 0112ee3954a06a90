-- A new block, or one rewritten in its place.
INSERT INTO vector_dense (collection, channel, first_ord, vectors, ords, block)
VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT (collection, channel, first_ord) DO UPDATE SET
    vectors = excluded.vectors, ords = excluded.ords, block = excluded.block
