-- One short transaction for each batch.
SELECT w.postponed, w.freed FROM hexmem.session_sweep($1) AS w
