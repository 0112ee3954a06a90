-- A queue by its address; it comes to be where it is missing.
SELECT opened.* FROM hexmem.queue_open($1, $2, $3) AS opened
