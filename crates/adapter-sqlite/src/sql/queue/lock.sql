-- Takes the write lock in a transaction that may not have it yet, and changes nothing.
UPDATE queue SET queue = queue WHERE 0
