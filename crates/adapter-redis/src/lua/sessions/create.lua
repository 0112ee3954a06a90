-- Inserts a session and enforces its owner's cap: session, token, indexes, those evicted and effects lie under one tag. Each
-- create frees two sessions past their retention, so that a bucket in use does not grow with what has ended.
local owner, id, hash, tenant = take(), take(), take(), take()
local fixed, data, idle, absolute, retention = take(), take(), take_number(), take_number(), take()
local cap, when_full, ip, agent, auth, hints = take(), take(), take(), take(), take(), take()
for _ = 1, take_number() do check_stamp(take_number()) end
local ref = owner .. ':' .. id
local key = session_key(ref)
local present = token(hash)
local kept = redis.call('HMGET', key, 'c', 'w')
if kept[1] then
  if present and present.ref == ref and present.replaces == '-' then return { 'done', kept[1], kept[2], { whole(now) } } end
  return { 'id taken' }
end
if present then return { 'token taken' } end
local evicted = {}
if cap ~= '' then
  local live = {}
  for _, other in ipairs(redis.call('ZRANGE', tag .. ':u:' .. owner, 0, -1)) do
    local field = redis.call('HMGET', session_key(owner .. ':' .. other), 's', 'c', 'e', 'x')
    if field[3] and not field[4] and tonumber(field[3]) > now then
      live[#live + 1] = { tonumber(field[1]), tonumber(field[2]), other }
    else
      -- It has run out: the next look at the cap need not pass it again.
      redis.call('ZREM', tag .. ':u:' .. owner, other)
    end
  end
  local over = #live + 1 - tonumber(cap)
  if over > 0 and when_full == 'refuse' then return { 'full' } end
  table.sort(live, function(a, b)
    if a[1] ~= b[1] then return a[1] < b[1] end
    if a[2] ~= b[2] then return a[2] < b[2] end
    return bytes_less(a[3], b[3])
  end)
  for i = 1, over do
    revoke(owner .. ':' .. live[i][3])
    evicted[i] = live[i][3]
  end
end
local ends = now + absolute
local idle_ends = math.min(now + idle, ends)
redis.call('HSET', key, 'b', fixed, 'd', data, 'c', whole(now), 's', whole(now), 'e', whole(idle_ends),
  'a', whole(ends), 't', whole(now), 'v', 1, 'i', whole(idle), 'r', retention, 'n', 1, 'm', whole(now),
  'w', table.concat(evicted, ' '), 'k', hash, 'y', tenant)
if ip ~= '' then redis.call('HSET', key, 'p', ip) end
if agent ~= '' then redis.call('HSET', key, 'u', agent) end
if auth ~= '' then redis.call('HSET', key, 'h', auth) end
if hints ~= '' then redis.call('HSET', key, 'j', hints) end
put_token(hash, ref, '-', '-')
redis.call('ZADD', tag .. ':a', 0, ref)
redis.call('ZADD', tag .. ':d', purge_at(ref), ref)
index_live(ref, tenant, idle_ends)
push_effects()
local _, loose = free(2)
return { 'done', whole(now), table.concat(evicted, ' '), loose }
