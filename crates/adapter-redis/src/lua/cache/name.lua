-- Lists a namespace before anything of it is written, or takes one off the list that nobody used for the window.
-- ARGV: present, window, address, list or unlist
local used = tag .. ':u'
if ARGV[4] == 'list' then
  redis.call('ZADD', listed, 0, ARGV[3])
  redis.call('HSET', used, ARGV[3], whole(now))
elseif now - (redis.call('HGET', used, ARGV[3]) or 0) >= window then
  redis.call('ZREM', listed, ARGV[3])
  redis.call('HDEL', used, ARGV[3])
end
return 0
