-- Gives a live session a new token. No earlier token outlives the one that is replaced; those that ended long ago go.
local old, new, grace = take(), take(), take()
local auth, ip, agent = take(), take(), take()
local held = token(new)
if held and held.ends_text == '-' and held.replaces == old then
  local ref = opened(new)
  if ref then return { 'done', shown(ref) } end
end
local ref, current = opened(old)
if not ref then return { 'absent' } end
if current.ends then return { 'rotated', shown(ref) } end
if held then return { 'taken', shown(ref) } end
local ends, key, kept = grace == '' and now or now + tonumber(grace), session_key(ref), { new }
for hash in redis.call('HGET', key, 'k'):gmatch('%x+') do
  local one = token(hash)
  if one and one.ends and one.ends + WINDOW <= now then
    redis.call('DEL', token_key(hash))
  elseif one then
    put_token(hash, ref, whole(math.min(one.ends or ends, ends)), one.replaces)
    kept[#kept + 1] = hash
  end
end
put_token(new, ref, '-', old)
redis.call('HSET', key, 't', whole(now), 'k', table.concat(kept, ' '))
if auth ~= '' then redis.call('HSET', key, 'h', auth) end
if ip ~= '' then redis.call('HSET', key, 'p', ip) end
if agent ~= '' then redis.call('HSET', key, 'u', agent) end
count_write(ref)
push_effects()
return { 'done', shown(ref) }
