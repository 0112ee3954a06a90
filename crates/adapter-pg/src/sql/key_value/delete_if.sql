-- A function: what is there is judged under the lock of the key.
SELECT removed, version FROM hexmem.kv_delete_if($1, $2, $3, $4)
