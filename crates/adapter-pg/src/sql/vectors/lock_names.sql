-- All names of a restore, in order of their digest: two restores never wait for each other in a circle.
SELECT hexmem.vector_lock_name(n.hash) FROM unnest($1::bytea[]) WITH ORDINALITY n (hash, at) ORDER BY n.at
