-- Answers of replaced generations, found by the index instead of by a look at all.
SELECT DISTINCT bound.entry
FROM cache_ended AS ended
JOIN cache_entry_tag AS bound ON bound.tag = ended.tag AND bound.generation = ended.generation
LIMIT ?1
