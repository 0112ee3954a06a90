-- The next answers and tombstones in order, and the tags that they name; stops when the page has enough bytes.
-- ARGV: present, window, after which fingerprint, how many, bytes; returns rows, tags, the last fingerprint ('' at the end)
local from = ARGV[3] == '' and '-' or '(' .. ARGV[3]
local rows, named, bytes, last = {}, {}, 0, ARGV[3]
local looked = redis.call('ZRANGEBYLEX', listed, from, '+', 'LIMIT', 0, ARGV[4])
for _, fingerprint in ipairs(looked) do
  if bytes >= tonumber(ARGV[5]) then return {rows, named, last} end
  local text = redis.call('GET', answers .. fingerprint) or ''
  local buried = redis.call('HGET', held, 'k' .. fingerprint) or ''
  if #text >= 46 then
    pairs_of(text, 42, function(digest)
      if known[digest] == nil then
        known[digest] = redis.call('HGET', held, 'g' .. digest)
        if known[digest] then named[#named + 1] = {digest, known[digest]} end
      end
      return true
    end)
  end
  if text ~= '' or buried ~= '' then rows[#rows + 1] = {fingerprint, text, buried} end
  bytes = bytes + #text
  last = fingerprint
end
return {rows, named, #looked < tonumber(ARGV[4]) and '' or last}
