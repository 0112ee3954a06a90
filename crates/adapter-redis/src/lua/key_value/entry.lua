-- An entry is a hash: v value, n version, m changed, x end, d deleted. The names of entries stand in :n, those of tombstones
-- in :d, in bytewise order; :x says when which can be freed. Versions have 64 bits, so only Redis itself adds to them.
local RETENTION <const> = 604800000000
local function entry_key(name) return tag .. ':e:' .. name end
local function held(name)
  local field = redis.call('HMGET', entry_key(name), 'n', 'm', 'x', 'd')
  if not field[1] then return nil end
  local ends = tonumber(field[3] or '')
  local live = not field[4] and (not ends or ends > now)
  return { version = field[1], modified = field[2], ends = ends, deleted = field[4], live = live }
end
local function index(name, deleted, free_at)
  redis.call('ZREM', tag .. (deleted and ':n' or ':d'), name)
  redis.call('ZADD', tag .. (deleted and ':d' or ':n'), 0, name)
  if free_at then redis.call('ZADD', tag .. ':x', free_at, name) else redis.call('ZREM', tag .. ':x', name) end
end
-- Writes a state over the one held. What is nil stays (the value) or goes (the end).
local function put(name, before, value, ends, deleted)
  local key, version = entry_key(name), whole(math.max(now, 1))
  if before and tonumber(before.version) >= now then
    version = before.version
    if version ~= '9223372036854775807' then
      redis.call('HINCRBY', key, 'n', 1)
      version = redis.call('HGET', key, 'n')
    end
  end
  if value then
    redis.call('HSET', key, 'n', version, 'm', now, 'v', value)
  else
    redis.call('HSET', key, 'n', version, 'm', now)
  end
  if ends then
    redis.call('HSET', key, 'x', ends)
  elseif before and before.ends then
    redis.call('HDEL', key, 'x')
  end
  if deleted then
    redis.call('HSET', key, 'd', now)
    redis.call('HDEL', key, 'v')
    index(name, true, now + RETENTION)
  else
    if before and before.deleted then redis.call('HDEL', key, 'd') end
    local known = before and not before.deleted and not before.ends and not ends
    if not known then index(name, false, ends) end
  end
  return version
end
-- Frees up to limit entries and tombstones whose time has come.
local function free(limit)
  local due = redis.call('ZRANGEBYSCORE', tag .. ':x', '-inf', now, 'LIMIT', 0, limit)
  for _, name in ipairs(due) do
    redis.call('UNLINK', entry_key(name))
    redis.call('ZREM', tag .. ':n', name)
    redis.call('ZREM', tag .. ':d', name)
    redis.call('ZREM', tag .. ':x', name)
  end
  return #due
end
-- With each call:
