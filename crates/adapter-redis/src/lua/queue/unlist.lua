-- Takes a queue off the list unless it was listed again since.
local name, stamp = take(), take()
if redis.call('HGET', tag .. ':stamps', name) ~= stamp then return 0 end
redis.call('ZREM', tag .. ':names', name)
redis.call('HDEL', tag .. ':stamps', name)
return 1
