-- Drops generations past their time, of the next stretch of the list; returns whether the namespace is empty, and the last.
-- ARGV: present, window, after which digest, how many to look at
local from = ARGV[3] == '' and '-' or '(' .. ARGV[3]
local looked = redis.call('ZRANGEBYLEX', tags, from, '+', 'LIMIT', 0, ARGV[4])
for _, digest in ipairs(looked) do
  local value = redis.call('HGET', held, 'g' .. digest)
  if not value or struct.unpack('>i8', value) <= now then
    redis.call('HDEL', held, 'g' .. digest)
    redis.call('ZREM', tags, digest)
  end
end
local left = redis.call('EXISTS', held, listed, tags)
return {left == 0 and 1 or 0, #looked < tonumber(ARGV[4]) and '' or looked[#looked]}
