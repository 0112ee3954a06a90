-- Adds to a decimal integer of 64 bits: HINCRBY is exact where Lua's numbers are not, and refuses every other text.
local tenant, bucket, window = take(), take(), take_number()
local name, by, ttl, op = take(), take(), take(), take()
local replay = tag .. ':r:' .. op
local first = redis.call('HMGET', replay, 'u', 'a')
if first[1] and tonumber(first[1]) > now then return { 'done', first[2] } end
local before = held(name)
local sum, ends = by, nil
if before and before.live then
  ends = before.ends
  local added = redis.pcall('HINCRBY', entry_key(name), 'v', by)
  if type(added) == 'table' and added.err then
    return { 'refused', redis.call('HGET', entry_key(name), 'v') }
  end
  sum = redis.call('HGET', entry_key(name), 'v')
elseif ttl ~= '' then
  ends = now + tonumber(ttl)
end
put(name, before, sum, ends, false)
redis.call('HSET', replay, 'u', now + window, 'a', sum)
redis.call('PEXPIRE', replay, math.ceil(window / 1000))
free(2)
if not is_registered then redis.call('HSET', tag .. ':b', 't', tenant, 'n', bucket) end
return { 'done', sum }
