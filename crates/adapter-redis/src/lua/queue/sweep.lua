-- Settles what is due, then frees what nobody can see any more, so many steps at most: how many, and whether all is gone.
local limit = take_number()
local count = settle_due(limit)

local function spent(set)
    if count >= limit then return {} end
    local members = call('ZRANGEBYSCORE', tag .. set, '-inf', now, 'LIMIT', 0, limit - count)
    count = count + #members
    return members
end

local ids = spent(':results')
load_all(ids)
for _, id in ipairs(ids) do
    if loaded[id] then free(id, loaded[id]) else file(':results', id, false) end
end
for _, member in ipairs(spent(':graves')) do
    local kind, key = string.sub(member, 1, 1), string.sub(member, 2)
    file(':graves', member, false)
    if kind == 'c' then
        if load(key) then free(key, load(key)) end
    else
        call('HDEL', tag .. (kind == 'd' and ':dedupe' or ':schedules'), key)
        file(':names', member, false)
    end
end
flush()
call('ZREMRANGEBYSCORE', tag .. ':waits', '-inf', now)
tell()
local empty = call('EXISTS', tag .. ':ids', tag .. ':names') == 0
return { count, empty and 1 or 0 }
