-- One statement for any number of keys: they come as an array, and the place comes back with each row.
-- LATERAL keeps each given key a lookup of its own; one instant judges all of them.
SELECT given.place, held.version, held.micros, held.value
FROM (SELECT hexmem.now() AS at) AS present
CROSS JOIN unnest($2::text[]) WITH ORDINALITY AS given (key, place)
CROSS JOIN LATERAL (
    SELECT entry.version, hexmem.micros(entry.expires_at) - hexmem.micros(present.at) AS micros, entry.value
    FROM hexmem.key_value AS entry
    WHERE entry.bucket = (SELECT id FROM hexmem.kv_bucket WHERE digest = $1)
        AND entry.key = given.key COLLATE "C"
        AND entry.deleted_at IS NULL
        AND (entry.expires_at IS NULL OR entry.expires_at > present.at)
) AS held
