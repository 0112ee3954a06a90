-- Current edges by relation, from the index of relations alone; ?2 is the valid time, NULL for any.
SELECT relation, count(*) FROM graph_edge
WHERE graph = ?1 AND superseded_at IS NULL
    AND (?2 IS NULL OR ((valid_from IS NULL OR valid_from <= ?2) AND (valid_until IS NULL OR valid_until > ?2)))
GROUP BY relation
