-- Most calls meet a namespace that there is: a read is cheaper than an insert that does nothing.
SELECT id FROM cache_room WHERE digest = ?1
