-- A function: the table's name and type depend on the collection's number and its vector, never on a text of a user's.
SELECT hexmem.vector_index_link($1, $2)
