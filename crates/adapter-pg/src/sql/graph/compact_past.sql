-- A few of the versions that ended before an instant.
SELECT hexmem.graph_forget($1, $2, $3)
