-- Before an answer is replaced or ended.
DELETE FROM cache_entry_tag WHERE entry = ?1
