-- Drops hints behind which nothing was found, unless they were given again since: those given before a moment.
local before = take_number()
for _ = 1, take_number() do
  local name = take()
  if tonumber(redis.call('HGET', tag .. ':t', name) or '0') <= before then
    redis.call('ZREM', tag .. ':m', name)
    redis.call('HDEL', tag .. ':t', name)
  end
end
return 0
