-- Takes a command back unprocessed: the attempt does not count.
local id, lease = take(), take()
local again = settled_by(id, lease)
if again and again[SETTLED] == 'r' then return 1 end
local c = current(id, lease)
if not c then return false end
c[SETTLED], c[ATTEMPTS] = 'r', math.max(c[ATTEMPTS] - 1, 0)
leave(id, c, c[CANCEL] and CANCELLED or READY, now)
-- A deadline that passed while it ran ends it now, not at the next look.
settle(id, c)
flush()
if call('HEXISTS', tag .. ':meta', 'max_in_flight') == 1 then woken = math.max(woken, 1) end
tell()
return 1
