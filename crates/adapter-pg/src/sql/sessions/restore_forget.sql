-- The tokens of a session that a newer record replaces.
DELETE FROM hexmem.session_tokens AS t WHERE t.session = ANY ($1)
