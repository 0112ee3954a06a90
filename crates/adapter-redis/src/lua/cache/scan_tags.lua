-- The next generations in order. ARGV: present, window, after which digest, how many; returns rows, the last digest
local from = ARGV[3] == '' and '-' or '(' .. ARGV[3]
local looked = redis.call('ZRANGEBYLEX', tags, from, '+', 'LIMIT', 0, ARGV[4])
local rows = {}
for _, digest in ipairs(looked) do
  local value = redis.call('HGET', held, 'g' .. digest)
  if value then rows[#rows + 1] = {digest, value} end
end
return {rows, #looked < tonumber(ARGV[4]) and '' or looked[#looked]}
