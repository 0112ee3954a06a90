-- Moves the start of the log: whoever reads from before it gets a gap from now on. $2 is NULL where the log stays (LEAST
-- would leave it out).
UPDATE hexmem.graph
SET log_start = CASE WHEN $2::bigint IS NULL THEN log_start ELSE GREATEST(LEAST($2, revision), log_start) END
WHERE digest = $1
RETURNING body, log_start
