-- Ends one answer and remembers that for the window; returns how many could be served.
-- ARGV: present, window, fingerprint, a random generation, digest of the namespace's own tag
local fingerprint = ARGV[3]
local text = judged(fingerprint)
local ended = servable(text) and 1 or 0
-- In a namespace without a generation no ticket holds: there is nothing to remember.
if generation(ARGV[5]) then
  local version = text ~= '' and struct.unpack('>i8', text, 2) or nil
  local buried = redis.call('HGET', held, 'k' .. fingerprint)
  if buried then
    local _, last = struct.unpack(MARK, buried)
    version = math.max(version or last, last)
  end
  redis.call('HSET', held, 'k' .. fingerprint,
    struct.pack(MARK, now + window, next_version(version), now) .. ARGV[4])
  redis.call('ZADD', listed, 0, fingerprint)
  keep_all(now + window)
  redis.call('PEXPIRE', listed, redis.call('PTTL', held))
end
if text ~= '' then redis.call('UNLINK', answers .. fingerprint) end
return ended
