-- Newest first: a file of a newer program is refused for its newest step.
SELECT version, name, sha256 FROM hexmem_schema ORDER BY version DESC
