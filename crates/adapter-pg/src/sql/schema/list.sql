-- Every step that was applied, in order.
SELECT version, name, sha256, applied_at FROM hexmem.schema_steps ORDER BY version
