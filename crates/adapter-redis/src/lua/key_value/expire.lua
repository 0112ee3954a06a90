-- Gives a live entry another end, or none.
local name, ttl = take(), take()
local before = held(name)
if not (before and before.live) then return 0 end
put(name, before, nil, ttl ~= '' and now + tonumber(ttl) or nil, false)
return 1
