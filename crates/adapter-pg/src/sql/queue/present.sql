-- The present, after the locks that the transaction has taken.
SELECT hexmem.now()
