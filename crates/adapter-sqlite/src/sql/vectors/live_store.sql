-- A whole chunk: its row fits half a page.
INSERT INTO vector_live (collection, channel, chunk, bits) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (collection, channel, chunk) DO UPDATE SET bits = excluded.bits
