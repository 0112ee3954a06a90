-- Keeps what a worker tells observers.
local id, lease, text = take(), take(), take()
local c = current(id, lease)
if not c then return false end
c[VERSION], c[MODIFIED] = c[VERSION] + 1, now
changed[id] = true
flush()
call('HSET', tag .. ':commands', id .. PROGRESS, text)
return 1
