-- A list in one round trip. The work is a function because locks come before the look, in statements of their own.
SELECT stored, answers, firsts FROM hexmem.queue_enqueue(
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22)
