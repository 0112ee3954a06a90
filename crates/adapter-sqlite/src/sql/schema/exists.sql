-- A file that was created but not migrated yet has no tables at all.
SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'hexmem_schema'
