-- Many points in one statement: their parts are cut from three blobs by the numbers in ?6.
INSERT INTO vector_points (at, collection, id, version, modified_at, payload, sparse)
SELECT
    ?1 + j.key, ?2, substr(?3, 16 * j.key + 1, 16), j.value ->> 4, j.value ->> 5,
    CAST(substr(?4, 1 + (j.value ->> 0), j.value ->> 1) AS TEXT),
    substr(?5, 1 + (j.value ->> 2), j.value ->> 3)
FROM json_each(?6) AS j
