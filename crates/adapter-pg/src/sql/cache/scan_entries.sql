-- Ordered by a digest that never changes: an entity that goes and comes back keeps its place. A page ends after the row
-- that crosses $3 bytes; the lengths are summed up before any value is read. more: whether rows follow this one.
SELECT
    e.tenant, e.namespace, e.fingerprint, e.version, e.modified_at, e.invalidation, e.remembered_until,
    e.tags, e.generations, e.stored_at, e.fresh_until, e.expires_at, e.meta, e.value,
    e.digest, e.place < e.found AS more
FROM (
    SELECT
        page.*,
        coalesce(sum(octet_length(page.value)) OVER (
            ORDER BY page.digest ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ), 0) AS before,
        row_number() OVER (ORDER BY page.digest) AS place,
        count(*) OVER () AS found
    FROM (
        SELECT * FROM hexmem.cache_entries WHERE digest > $1 ORDER BY digest LIMIT $2 + 1
    ) AS page
) AS e
WHERE e.before < $3 AND e.place <= $2
ORDER BY e.digest
