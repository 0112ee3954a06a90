-- Replaces the data of a live session where its version is the expected one. Versions are compared as text: they have 64 bits.
local ref = opened(take())
local expected, data, op = take(), take(), take()
if not ref then return { 'absent' } end
local key = session_key(ref)
local field = redis.call('HMGET', key, 'v', 'o')
if field[2] == op then return { 'done', shown(ref) } end
if field[1] ~= expected then return { 'changed', shown(ref) } end
redis.call('HSET', key, 'd', data, 'o', op)
redis.call('HINCRBY', key, 'v', 1)
count_write(ref)
push_effects()
return { 'done', shown(ref) }
