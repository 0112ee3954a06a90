-- Tags that nothing depends on, unchanged for the life of a ticket.
DELETE FROM cache_tag
WHERE id > ?1 AND id <= ?2 AND modified_at <= ?3
    AND NOT EXISTS (SELECT 1 FROM cache_entry_tag AS bound WHERE bound.tag = cache_tag.id)
