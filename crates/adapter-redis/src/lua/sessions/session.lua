-- A session is a hash. What never changes is one text (b); what scripts decide on has fields of its own: d data, c created,
-- s seen, e idle end (never beyond a, the absolute end), t token issued, v version, p address, u user agent, h auth hash,
-- i idle, r retention, n revision, m modified, x revoked, o latest op, w evicted, k its tokens, y tenant, j its hints.
-- A token is a text: the session, when it ends or ended (or -), and what it replaced (or -).
local WINDOW <const> = 3600000000
local function session_key(ref) return tag .. ':s:' .. ref end
local function token_key(hash) return tag .. ':t:' .. hash end
local function token(hash)
  local text = redis.call('GET', token_key(hash))
  if not text then return nil end
  local ref, ends, replaces = text:match('^(%S+) (%S+) (%S+)$')
  return { ref = ref, ends = tonumber(ends), ends_text = ends, replaces = replaces }
end
local function put_token(hash, ref, ends, replaces)
  redis.call('SET', token_key(hash), ref .. ' ' .. ends .. ' ' .. replaces)
end
local function shown(ref)
  return redis.call('HMGET', session_key(ref), 'b', 'd', 'c', 's', 'e', 'a', 't', 'v', 'p', 'u', 'h')
end
local function is_live(ref)
  local field = redis.call('HMGET', session_key(ref), 'e', 'x')
  return field[1] and not field[2] and tonumber(field[1]) > now
end
-- The live session that a token opens.
local function opened(hash)
  local found = token(hash)
  if found and (not found.ends or found.ends > now) and is_live(found.ref) then return found.ref, found end
  return nil
end
local function owner_of(ref) return ref:match('^(%x+):'), ref:match(':(%x+)$') end
local function count_write(ref)
  redis.call('HINCRBY', session_key(ref), 'n', 1)
  redis.call('HSET', session_key(ref), 'm', whole(now))
end
-- Where a session is found while it may live, and when it is looked at for sweeping: a lower bound, so that a touch need
-- not move it.
local function index_live(ref, tenant, ends)
  local owner, id = owner_of(ref)
  redis.call('ZADD', tag .. ':u:' .. owner, 0, id)
  redis.call('ZADD', tag .. ':n:' .. tenant, ends, ref)
end
local function unindex(ref, tenant)
  local owner, id = owner_of(ref)
  redis.call('ZREM', tag .. ':u:' .. owner, id)
  redis.call('ZREM', tag .. ':n:' .. tenant, ref)
end
local function purge_at(ref)
  local field = redis.call('HMGET', session_key(ref), 'e', 'x', 'r')
  if not field[1] then return 0 end
  local ends = tonumber(field[1])
  if field[2] then ends = math.min(ends, tonumber(field[2])) end
  return ends + tonumber(field[3])
end
local function revoke(ref)
  redis.call('HSET', session_key(ref), 'x', whole(now))
  count_write(ref)
  unindex(ref, redis.call('HGET', session_key(ref), 'y'))
  redis.call('ZADD', tag .. ':d', purge_at(ref), ref)
end
-- Frees sessions past their retention, and says when, and which hints named them.
local function free(limit)
  local freed, hints = 0, { whole(now) }
  for _, ref in ipairs(redis.call('ZRANGEBYSCORE', tag .. ':d', '-inf', now, 'LIMIT', 0, limit)) do
    local at = purge_at(ref)
    if at > now then
      redis.call('ZADD', tag .. ':d', at, ref)
    else
      local field = redis.call('HMGET', session_key(ref), 'k', 'y', 'j')
      for hash in (field[1] or ''):gmatch('%x+') do redis.call('DEL', token_key(hash)) end
      if field[2] then unindex(ref, field[2]) end
      redis.call('UNLINK', session_key(ref))
      redis.call('ZREM', tag .. ':a', ref)
      redis.call('ZREM', tag .. ':d', ref)
      freed = freed + 1
      for hint in (field[3] or ''):gmatch('%S+') do hints[#hints + 1] = { hint, ref } end
    end
  end
  return freed, hints
end
-- With each call:
