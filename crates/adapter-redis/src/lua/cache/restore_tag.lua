-- Writes a record of a generation if it is newer (version, then time) than what is here.
-- ARGV: present, window, digest, version, modified, generation, room and name, how long it is kept for answers to come
local field = 'g' .. ARGV[3]
local version, modified = tonumber(ARGV[4]), tonumber(ARGV[5])
local value = redis.call('HGET', held, field)
local latest = now + ARGV[8]
if value then
  local ends, mine, at = struct.unpack(MARK, value)
  if version < mine or (version == mine and modified <= at) then return 0 end
  latest = math.max(latest, ends)
end
redis.call('HSET', held, field, struct.pack(MARK, latest, version, modified) .. ARGV[6] .. ARGV[7])
redis.call('ZADD', tags, 0, ARGV[3])
keep_all(latest)
return 1
