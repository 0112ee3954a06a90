-- Marks a live session as seen now, unless it was a moment ago. Nothing is created: a token without a live session answers
-- nothing. A clock set back moves nothing back.
local ref = opened(take())
local ip, agent, coalesce = take(), take(), take()
if not ref then return false end
local key = session_key(ref)
local field = redis.call('HMGET', key, 's', 'i', 'a', 'y')
local seen = tonumber(field[1])
if coalesce ~= '' and now < seen + tonumber(coalesce) then return shown(ref) end
seen = math.max(now, seen)
local ends = seen + tonumber(field[2])
local text = ends < tonumber(field[3]) and whole(ends) or field[3]
redis.call('HSET', key, 's', whole(seen), 'e', text)
if ip ~= '' then redis.call('HSET', key, 'p', ip) end
if agent ~= '' then redis.call('HSET', key, 'u', agent) end
count_write(ref)
redis.call('ZADD', tag .. ':n:' .. field[4], text, ref)
return shown(ref)
