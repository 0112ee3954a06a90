-- A page of the records of one queue: commands by id, or dedupe keys, or the limits.
local section, after, limit = take(), take(), take_number()
local answer, n = {}, 0
if section == 'c' then
    local ids = call('ZRANGEBYLEX', tag .. ':ids', after == '' and '-' or '(' .. after, '+', 'LIMIT', 0, limit)
    load_all(ids)
    for _, id in ipairs(ids) do
        if loaded[id] then
            answer[n + 1], answer[n + 2], n = id, loaded[id], n + 2
            local parts = call('HMGET', tag .. ':commands', id .. BODY, id .. RESULT, id .. PROGRESS)
            answer[n + 1], answer[n + 2], answer[n + 3], n = parts[1], parts[2], parts[3], n + 3
        end
    end
elseif section == 'd' then
    local from = after == '' and '[d' or '(d' .. after
    for _, member in ipairs(call('ZRANGEBYLEX', tag .. ':names', from, '(e', 'LIMIT', 0, limit)) do
        local key = string.sub(member, 2)
        local packed = call('HGET', tag .. ':dedupe', key)
        if packed then
            answer[n + 1], answer[n + 2] = key, cmsgpack.unpack(packed)
            n = n + 2
        end
    end
else
    answer = call('HMGET', tag .. ':meta', 'limits_version', 'limits_at', 'max_in_flight', 'rate_count', 'rate_per')
end
return answer
