-- Every session of every tenant, dead ones included, in the order of their numbers.
SELECT * FROM sessions WHERE seq > ?1 ORDER BY seq LIMIT ?2
