-- Puts a session as it was elsewhere over an older one, or (mode check) only says whether it would. The revision decides, then
-- the time of change, as digits: both may lie beyond what Lua counts exactly.
local mode, owner, id, tenant, hints = take(), take(), take(), take(), take()
for _ = 1, take_number() do check_stamp(take_number()) end
local names, field = { 'b', 'd', 'c', 's', 'e', 'a', 't', 'v', 'p', 'u', 'h', 'i', 'r', 'n', 'm', 'x', 'o', 'w' }, {}
for _, name in ipairs(names) do field[name] = take() end
local tokens = {}
for i = 1, take_number() do tokens[i] = { take(), take(), take() } end
local ref = owner .. ':' .. id
local key = session_key(ref)
local before = redis.call('HMGET', key, 'n', 'm', 'k', 'y')
if before[1] then
  local newer = digits_less(before[1], field.n) or (before[1] == field.n and digits_less(before[2], field.m))
  if not newer then return 'kept' end
end
for _, one in ipairs(tokens) do
  local present = token(one[1])
  if present and present.ref ~= ref then return 'conflict' end
end
if mode == 'check' then return 'written' end
if before[1] then
  for hash in before[3]:gmatch('%x+') do redis.call('DEL', token_key(hash)) end
  unindex(ref, before[4])
  redis.call('DEL', key)
end
local hashes = {}
for i, one in ipairs(tokens) do
  put_token(one[1], ref, one[2] == '' and '-' or one[2], one[3] == '' and '-' or one[3])
  hashes[i] = one[1]
end
for _, name in ipairs(names) do
  if field[name] ~= '' or name == 'w' then redis.call('HSET', key, name, field[name]) end
end
redis.call('HSET', key, 'k', table.concat(hashes, ' '), 'y', tenant)
if hints ~= '' then redis.call('HSET', key, 'j', hints) end
redis.call('ZADD', tag .. ':a', 0, ref)
redis.call('ZADD', tag .. ':d', purge_at(ref), ref)
if field.x == '' then index_live(ref, tenant, field.e) end
return 'written'
