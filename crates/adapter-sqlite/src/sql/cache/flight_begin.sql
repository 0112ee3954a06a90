-- Takes the right when nobody has it or it ran out; gives no row when another has it.
INSERT INTO cache_flight (digest, lease, expires_at) VALUES (?1, ?2, ?3)
ON CONFLICT (digest) DO UPDATE SET lease = excluded.lease, expires_at = excluded.expires_at
    WHERE cache_flight.expires_at <= ?4
RETURNING 1
