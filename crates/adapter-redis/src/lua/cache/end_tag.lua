-- Ends all that depends on a tag: another generation. Without one nothing depends on it and no ticket holds.
-- ARGV: present, window, digest, a random generation
local field = 'g' .. ARGV[3]
local value = redis.call('HGET', held, field)
if value then
  local ends, version = struct.unpack(MARK, value)
  ends = math.max(ends, now + 2 * window)
  redis.call('HSET', held, field,
    struct.pack(MARK, ends, next_version(version), now) .. ARGV[4] .. string.sub(value, 41))
  keep_all(ends)
end
return 0
