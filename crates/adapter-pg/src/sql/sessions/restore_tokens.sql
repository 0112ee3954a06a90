-- Gives back those that were free. A token that another session has is missing then, and the caller gives up.
INSERT INTO hexmem.session_tokens (bucket, hash, session, replaces, valid_until)
SELECT given.bucket, given.hash, given.session, given.replaces, given.valid_until
FROM unnest($1::integer[], $2::bytea[], $3::bigint[], $4::bytea[], $5::timestamptz[])
    AS given (bucket, hash, session, replaces, valid_until)
ORDER BY given.bucket, given.hash
ON CONFLICT (bucket, hash) DO NOTHING
RETURNING hash
