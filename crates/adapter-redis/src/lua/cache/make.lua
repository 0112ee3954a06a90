-- Gives tags that have none a generation and lets the others live on: what a lookup does when it is the first.
-- ARGV: present, window, then of each tag: digest, a random generation, its room and name
local made = {}
local latest = now + 2 * window
for at = 3, #ARGV, 3 do
  local field = 'g' .. ARGV[at]
  local value = redis.call('HGET', held, field)
  if not value then
    value = struct.pack(MARK, latest, next_version(nil), now) .. ARGV[at + 1] .. ARGV[at + 2]
    redis.call('HSET', held, field, value)
    redis.call('ZADD', tags, 0, ARGV[at])
    keep_all(latest)
  elseif struct.unpack('>i8', value) < now + window then
    redis.call('HSET', held, field, struct.pack('>i8', latest) .. string.sub(value, 9))
    keep_all(latest)
  end
  made[#made + 1] = string.sub(value, 25, 40)
end
-- A list that was just begun ends with the rest.
if #made > 0 then redis.call('PEXPIRE', tags, redis.call('PTTL', held)) end
return made
