-- Removes the entries of a lease that is still held, and lets their keys go on.
local lease = take()
local until_at = tonumber(redis.call('ZSCORE', tag .. ':o:u', lease) or '')
if not until_at or until_at <= now then return 0 end
local held = redis.call('HGETALL', tag .. ':o:l:' .. lease)
for i = 1, #held, 2 do
  local list = tag .. ':o:k:' .. held[i]
  redis.call('LTRIM', list, held[i + 1], -1)
  redis.call('DECRBY', tag .. ':o:d', held[i + 1])
  local head = redis.call('LINDEX', list, 0)
  if head then redis.call('ZADD', tag .. ':o:r', head:match('^%d+'), held[i]) end
end
redis.call('DEL', tag .. ':o:l:' .. lease)
redis.call('ZREM', tag .. ':o:u', lease)
return 1
