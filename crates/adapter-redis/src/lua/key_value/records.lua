-- Entries and tombstones by name as they are kept, from the two indexes as one: a name is in one of them at any moment.
local from, limit, most = take(), take_number(), take_number()
local entries = redis.call('ZRANGEBYLEX', tag .. ':n', from, '+', 'LIMIT', 0, limit + 1)
local dead = redis.call('ZRANGEBYLEX', tag .. ':d', from, '+', 'LIMIT', 0, limit + 1)
local bucket = redis.call('HMGET', tag .. ':b', 't', 'n')
local rows, bytes, e, d = {}, 0, 1, 1
while entries[e] or dead[d] do
  if #rows >= limit or bytes >= most then return { bucket[1], bucket[2], 0, rows } end
  local name
  if not dead[d] or (entries[e] and bytes_less(entries[e], dead[d])) then
    name, e = entries[e], e + 1
  else
    name, d = dead[d], d + 1
  end
  local row = redis.call('HMGET', tag .. ':e:' .. name, 'n', 'm', 'x', 'd', 'v')
  bytes = bytes + #(row[5] or '')
  rows[#rows + 1] = { name, row }
end
return { bucket[1], bucket[2], 1, rows }
