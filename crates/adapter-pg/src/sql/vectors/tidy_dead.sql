-- What the walk leaves out.
SELECT array_agg(d.ord) FROM hexmem.vector_dead d WHERE d.collection = $1 AND d.place <= $2
