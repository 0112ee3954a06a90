-- Merged into another, or without a live point.
DELETE FROM vector_segments WHERE collection = ?1 AND first_ord = ?2
