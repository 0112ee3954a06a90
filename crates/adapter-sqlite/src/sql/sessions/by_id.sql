-- A session of an owner, live or not: is the id taken, and what was the answer to its create.
SELECT seq, created_at, evicted, revision, modified_at FROM sessions WHERE owner = ?1 AND id = ?2
