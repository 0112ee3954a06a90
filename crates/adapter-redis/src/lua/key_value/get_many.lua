-- The live entries of some names, in their order. One script, so that all are of one instant.
local count, found = take_number(), {}
for i = 1, count do
  local key = tag .. ':e:' .. take()
  local field = redis.call('HMGET', key, 'v', 'n', 'x', 'd')
  local ends = tonumber(field[3] or '')
  local live = field[2] and not field[4] and (not ends or ends > now)
  found[i] = live and { field[1], field[2], ends and whole(ends - now) or false } or false
end
return found
