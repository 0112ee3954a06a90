-- Sessions of a tag as they are kept, with their tokens, dead ones included.
local from, limit, most = take(), take_number(), take_number()
local refs = redis.call('ZRANGEBYLEX', tag .. ':a', from, '+', 'LIMIT', 0, limit + 1)
local rows, bytes = {}, 0
for i, ref in ipairs(refs) do
  if #rows >= limit or bytes >= most then return { 0, rows } end
  local row = shown(ref)
  bytes = bytes + #(row[1] or '') + #(row[2] or '')
  local more = redis.call('HMGET', session_key(ref), 'i', 'r', 'n', 'm', 'x', 'o', 'w', 'k')
  local tokens = {}
  for hash in (more[8] or ''):gmatch('%x+') do
    local one = token(hash)
    if one then tokens[#tokens + 1] = { hash, one.ends and one.ends_text or false, one.replaces ~= '-' and one.replaces or false } end
  end
  rows[#rows + 1] = { ref, row, more, tokens }
end
return { 1, rows }
