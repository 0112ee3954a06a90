-- Puts dead letters back as if enqueued now, the oldest first: how many.
local count = take_number()
local ids, chosen, seen = {}, {}, {}
for i = 1, count do ids[i] = take() end
load_all(ids)
for _, id in ipairs(ids) do
    local c = loaded[id]
    if c and c[STAGE] == DEAD and not seen[id] then
        seen[id] = true
        chosen[#chosen + 1] = id
    end
end
if not chosen[1] then return 0 end
table.sort(chosen, function(a, b) return loaded[a][SEQUENCE] < loaded[b][SEQUENCE] end)
local sequence = call('HINCRBY', tag .. ':meta', 'sequence', #chosen) - #chosen
for _, id in ipairs(chosen) do
    local c = loaded[id]
    sequence = sequence + 1
    unfile(id, c)
    c[SEQUENCE], c[ATTEMPTS], c[SETTLED], c[READY_AT] = sequence, 0, 'o', now
    c[DEADLINE], c[LEASE], c[ENDED], c[UNTIL], c[WORKER] = false, false, false, false, false
    c[VERSION], c[MODIFIED] = c[VERSION] + 1, now
    local head = true
    if c[GROUP] then
        local members = tag .. ':g:' .. c[GROUP]
        call('ZADD', members, sequence, id)
        head = call('ZCARD', members) == 1
    end
    enter(id, c, head)
end
flush()
tell()
return #chosen
