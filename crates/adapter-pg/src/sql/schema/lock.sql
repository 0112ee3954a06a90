-- Held until the transaction ends, so that a pooler of transactions keeps it. Released by a crash too.
SELECT pg_advisory_xact_lock($1)
