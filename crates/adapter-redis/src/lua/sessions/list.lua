-- Live sessions of an owner by id. Looks at a bounded number: past many dead ones it says where to go on.
local owner, from, limit, most = take(), take(), take_number(), take_number()
local ids = redis.call('ZRANGEBYLEX', tag .. ':u:' .. owner, from, '+', 'LIMIT', 0, limit + 1000)
local rows, bytes, last = {}, 0, false
for _, id in ipairs(ids) do
  local ref = owner .. ':' .. id
  if is_live(ref) then
    if #rows >= limit or bytes >= most then return { 0, last, rows } end
    local row = shown(ref)
    bytes = bytes + #row[1] + #row[2]
    rows[#rows + 1] = row
  end
  last = id
end
return { #ids < limit + 1000 and 1 or 0, last, rows }
