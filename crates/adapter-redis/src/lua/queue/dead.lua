-- A page of the dead letters by id.
local after, limit = take(), take_number()
local ids = call('ZRANGEBYLEX', tag .. ':dead', after == '' and '-' or '(' .. after, '+', 'LIMIT', 0, limit)
local answer, n = {}, 0
load_all(ids)
for _, id in ipairs(ids) do
    if loaded[id] then
        answer[n + 1], answer[n + 2] = id, loaded[id]
        local parts = call('HMGET', tag .. ':commands', id .. BODY, id .. PROGRESS)
        answer[n + 3], answer[n + 4] = parts[1], parts[2]
        n = n + 4
    end
end
return answer
