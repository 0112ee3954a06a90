-- A page of the list in bytewise order between two bounds, each with its stamp.
local from, to, limit = take(), take(), take_number()
local answer, n = { now }, 1
for _, name in ipairs(redis.call('ZRANGEBYLEX', tag .. ':names', from, to, 'LIMIT', 0, limit)) do
    answer[n + 1], answer[n + 2] = name, redis.call('HGET', tag .. ':stamps', name) or '0'
    n = n + 2
end
return answer
