-- One block of lists.
INSERT INTO vector_postings (collection, channel, segment, first_term, block)
VALUES (?1, ?2, ?3, ?4, ?5)
