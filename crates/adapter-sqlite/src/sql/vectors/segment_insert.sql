-- A new run, or a merged one.
INSERT INTO vector_segments (collection, first_ord, end_ord, points, postings)
VALUES (?1, ?2, ?3, ?4, ?5)
