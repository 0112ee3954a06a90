-- Names a queue in the list; the stamp grows each time, so that who takes an entry off sees whether it is another one.
local name = take()
local before = tonumber(redis.call('HGET', tag .. ':stamps', name) or '') or 0
redis.call('ZADD', tag .. ':names', 0, name)
redis.call('HSET', tag .. ':stamps', name, whole(math.max(now, before + 1)))
return 1
