-- Buckets stay for ever: the ids are part of cursors.
INSERT INTO kv_bucket (digest, tenant, name) VALUES (?1, ?2, ?3) ON CONFLICT (digest) DO NOTHING
