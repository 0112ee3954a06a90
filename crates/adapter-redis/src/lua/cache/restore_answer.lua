-- Writes a record of a key if it is newer (version, then time) than what is here.
-- ARGV: present, window, fingerprint, version, modified, answer with its head or '', its end, tombstone or ''
local fingerprint, text, ends, tomb = ARGV[3], ARGV[6], tonumber(ARGV[7]), ARGV[8]
local version, modified = tonumber(ARGV[4]), tonumber(ARGV[5])
local there = redis.call('GETRANGE', answers .. fingerprint, 0, 16)
local buried = redis.call('HGET', held, 'k' .. fingerprint)
local mine, at
if there ~= '' then
  mine, at = struct.unpack('>i8i8', there, 2)
elseif buried then
  local _
  _, mine, at = struct.unpack(MARK, buried)
end
if mine and (version < mine or (version == mine and modified <= at)) then return 0 end
local latest = now + 2 * window
if text == '' then
  redis.call('UNLINK', answers .. fingerprint)
else
  -- One that has ended stays for a moment, so that a repeat of the same records finds it.
  redis.call('SET', answers .. fingerprint, text, 'PX', millis(math.max(ends, now + 60000000)))
  latest = math.max(latest, ends + window)
  pairs_of(text, 42, function(digest, generation)
    local value = redis.call('HGET', held, 'g' .. digest)
    if value and string.sub(value, 25, 40) == generation and struct.unpack('>i8', value) < latest then
      redis.call('HSET', held, 'g' .. digest, struct.pack('>i8', latest) .. string.sub(value, 9))
    end
    return true
  end)
end
if tomb ~= '' then
  redis.call('HSET', held, 'k' .. fingerprint, tomb)
  latest = math.max(latest, (struct.unpack('>i8', tomb)))
else
  redis.call('HDEL', held, 'k' .. fingerprint)
end
redis.call('ZADD', listed, 0, fingerprint)
keep_all(latest)
return 1
