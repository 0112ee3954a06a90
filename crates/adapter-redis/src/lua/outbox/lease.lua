-- Hands out the oldest entries of keys that nobody holds. A key leaves the ready ones with its first entry handed out and
-- comes back when the lease ends, so that its order is kept.
local lease, until_at, limit, most = take(), now + take_number(), take_number(), take_number()
local function ready(key)
  local head = redis.call('LINDEX', tag .. ':o:k:' .. key, 0)
  if head then redis.call('ZADD', tag .. ':o:r', head:match('^%d+'), key) end
end
for _, late in ipairs(redis.call('ZRANGEBYSCORE', tag .. ':o:u', '-inf', now, 'LIMIT', 0, 100)) do
  local held = redis.call('HKEYS', tag .. ':o:l:' .. late)
  for _, key in ipairs(held) do ready(key) end
  redis.call('DEL', tag .. ':o:l:' .. late)
  redis.call('ZREM', tag .. ':o:u', late)
end
local entries, bytes = {}, 0
for _, key in ipairs(redis.call('ZRANGE', tag .. ':o:r', 0, limit - 1)) do
  local count = 0
  while #entries < limit and bytes < most do
    local entry = redis.call('LINDEX', tag .. ':o:k:' .. key, count)
    if not entry then break end
    count = count + 1
    bytes = bytes + #entry
    entries[#entries + 1] = { key, entry }
  end
  if count == 0 then break end
  redis.call('ZREM', tag .. ':o:r', key)
  redis.call('HSET', tag .. ':o:l:' .. lease, key, count)
end
if #entries > 0 then redis.call('ZADD', tag .. ':o:u', until_at, lease) end
return { redis.call('GET', tag .. ':o:d') or '0', entries }
