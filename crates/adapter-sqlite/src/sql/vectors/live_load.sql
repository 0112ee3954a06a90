-- All chunks of a collection: a few KiB for each 16,384 points.
SELECT channel, chunk, bits FROM vector_live WHERE collection = ?1
