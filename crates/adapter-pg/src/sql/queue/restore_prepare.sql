-- New commands come after those that were restored, and leases know of their priority and group.
UPDATE hexmem.queue SET
    sequence_base = GREATEST(sequence_base, $2), grouped = grouped OR $4,
    priorities = (SELECT array_agg(DISTINCT p.p ORDER BY p.p DESC) FROM unnest(priorities || $3::smallint) AS p (p))
WHERE queue = $1
