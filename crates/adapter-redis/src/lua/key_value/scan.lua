-- Live entries by name, from one end of the range to the other. Looks at a bounded number of names: past many dead ones it
-- says where to go on. Answers whether the range is done, the last name looked at, and the entries.
local from, to, limit, most = take(), take(), take_number(), take_number()
local names = redis.call('ZRANGEBYLEX', tag .. ':n', from, to, 'LIMIT', 0, limit + 1000)
local entries, bytes, last = {}, 0, false
for _, name in ipairs(names) do
  local field = redis.call('HMGET', tag .. ':e:' .. name, 'n', 'x', 'd')
  local ends = tonumber(field[2] or '')
  if field[1] and not field[3] and (not ends or ends > now) then
    if #entries >= limit or bytes >= most then return { 0, last, entries } end
    local value = redis.call('HGET', tag .. ':e:' .. name, 'v')
    bytes = bytes + #value
    entries[#entries + 1] = { name, value, field[1], ends and whole(ends - now) or false }
  end
  last = name
end
return { #names < limit + 1000 and 1 or 0, last, entries }
