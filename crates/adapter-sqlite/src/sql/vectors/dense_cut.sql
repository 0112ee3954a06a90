-- Some vectors, cut from their blocks: ord, first ord of the block, first byte.
SELECT j.value ->> 0, substr(d.block, j.value ->> 2, ?4)
FROM json_each(?3) AS j
CROSS JOIN vector_dense AS d
    ON d.collection = ?1 AND d.channel = ?2 AND d.first_ord = j.value ->> 1
