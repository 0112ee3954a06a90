-- A function: the keys are locked in one order, and what follows sees what is there then.
SELECT hexmem.kv_delete_many($1, $2, $3)
