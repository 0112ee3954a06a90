-- Counts, after everything due was settled: each is a range of one set.
local call = redis.call
local oldest_at = call('ZRANGE', tag .. ':waiting', 0, 0, 'WITHSCORES')[2]
oldest_at = oldest_at and tonumber(oldest_at) <= now and now - oldest_at
return {
    call('ZCOUNT', tag .. ':waiting', '-inf', now),
    call('ZCOUNT', tag .. ':waiting', '(' .. whole(now), '+inf'),
    call('ZCARD', tag .. ':leased'),
    call('ZCARD', tag .. ':dead'),
    call('ZCOUNT', tag .. ':results', '(' .. whole(now), '+inf'),
    oldest_at or false,
    call('ZCOUNT', tag .. ':seen', '(' .. whole(now - 60000000), '+inf'),
}
