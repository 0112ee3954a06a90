-- A list in one round trip: groups are locked before their commands.
SELECT hexmem.queue_ack($1, $2, $3, $4)
