-- A chunk without a live ord never comes back: ords only grow.
DELETE FROM vector_live WHERE collection = ?1 AND channel = ?2 AND chunk = ?3
