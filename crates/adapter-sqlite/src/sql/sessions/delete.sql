-- Before a newer record takes its place; its tokens go with it.
DELETE FROM sessions WHERE seq = ?1
