-- The step written down: an update, or the move to what has ended.
SELECT hexmem.queue_file(
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
