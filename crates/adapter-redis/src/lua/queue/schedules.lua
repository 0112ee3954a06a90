-- A page of the schedules by name, deleted ones too: the caller leaves them out, or copies them.
local call = redis.call
local after, limit = take(), take_number()
local from = after == '' and '[s' or '(s' .. after
local answer, n = {}, 0
for _, member in ipairs(call('ZRANGEBYLEX', tag .. ':names', from, '(t', 'LIMIT', 0, limit)) do
    local name = string.sub(member, 2)
    local packed = call('HGET', tag .. ':schedules', name)
    if packed then
        answer[n + 1], answer[n + 2] = name, cmsgpack.unpack(packed)
        n = n + 2
    end
end
return answer
