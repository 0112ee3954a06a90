-- One call, one transaction: the function takes the owner's lock first and looks then.
SELECT c.outcome, c.created_at, c.evicted
FROM hexmem.session_create(
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22,
    $23, $24, $25, $26, $27, $28
) AS c
