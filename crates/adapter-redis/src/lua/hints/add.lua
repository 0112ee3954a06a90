-- Says where a session of a cluster or correlation id will lie, before it is written there.
local name = take()
redis.call('ZADD', tag .. ':m', 0, name)
redis.call('HSET', tag .. ':t', name, whole(now))
return whole(now)
