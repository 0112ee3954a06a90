-- A function: both names are locked before they are looked at.
SELECT hexmem.vector_alias($1, $2, $3, $4, $5)
