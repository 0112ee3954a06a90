-- The answer that a batch got before.
SELECT revision, recorded_at FROM graph_batch WHERE graph = ?1 AND id = ?2
