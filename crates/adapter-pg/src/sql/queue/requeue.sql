-- Dead letters go back, under the locks of their groups.
SELECT hexmem.queue_requeue($1, $2)
