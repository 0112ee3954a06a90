-- A function: it locks each key before a position is given out. The last statement of a change.
SELECT hexmem.push_effects($1, $2, $3, $4, $5, $6)
