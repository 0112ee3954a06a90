-- Leaves a tombstone, so that versions go on.
local call = redis.call
local name, tombstone = take(), take_number()
local packed = call('HGET', tag .. ':schedules', name)
local kept = packed and cmsgpack.unpack(packed)
if not kept or kept[5] then return 0 end
kept[1], kept[4], kept[5] = kept[1] + 1, now, now
call('HSET', tag .. ':schedules', name, cmsgpack.pack(kept))
call('HINCRBY', tag .. ':meta', 'schedules', -1)
call('ZADD', tag .. ':graves', now + tombstone, 's' .. name)
return 1
