-- Puts entries as they were elsewhere over older ones: the version decides, then the time of change. Both may lie beyond what
-- Lua counts exactly, so they are compared as digits.
local tenant, bucket, count, answers = take(), take(), take_number(), {}
for i = 1, count do
  local name, version, modified, ends, deleted, value = take(), take(), take(), take(), take(), take()
  local before = held(name)
  local newer = not before or digits_less(before.version, version)
    or (before.version == version and digits_less(before.modified, modified))
  answers[i] = newer and 1 or 0
  if newer then
    local key = entry_key(name)
    redis.call('DEL', key)
    redis.call('HSET', key, 'n', version, 'm', modified)
    if ends ~= '' then redis.call('HSET', key, 'x', ends) end
    local free_at = tonumber(ends)
    if deleted ~= '' then
      redis.call('HSET', key, 'd', deleted)
      free_at = tonumber(deleted) + RETENTION
    else
      redis.call('HSET', key, 'v', value)
    end
    index(name, deleted ~= '', free_at)
  end
end
redis.call('HSET', tag .. ':b', 't', tenant, 'n', bucket)
return answers
