-- What was counted, and answers to estimate from: all of them where there are few, else some at random.
-- ARGV: present, window, room (n, model, tag), how many answers at most
local room, most = ARGV[3], tonumber(ARGV[4])
local counted = {}
if room == 'n' then
  counted[1] = {'', redis.call('HGETALL', tag .. ':s')}
else
  local names = tag .. ':s:' .. room
  for _, name in ipairs(redis.call('ZRANGE', names, 0, -1)) do
    counted[#counted + 1] = {name, redis.call('HGETALL', names .. ':' .. name)}
  end
  local rest = redis.call('HGETALL', names .. ':')
  if #rest > 0 then counted[#counted + 1] = {'', rest} end
end
local total = redis.call('ZCARD', listed)
local looked = total <= most and redis.call('ZRANGE', listed, 0, -1) or redis.call('ZRANDMEMBER', listed, most)
local live = {}
for _, fingerprint in ipairs(looked) do
  local text = judged(fingerprint)
  if servable(text) then
    live[#live + 1] = string.sub(text, 42, 46 + string.byte(text, 46) * PAIR)
  end
end
return {counted, total, #looked, live}
