-- Completes what is current of a list: 1, or 0 for a repeat, or nil. The effects are written where none was refused.
local count = take_number()
local ids, leases, results, answers = {}, {}, {}, {}
for i = 1, count do ids[i], leases[i], results[i] = take(), take(), take() end
load_all(ids)
local kept, newly, refused = {}, 0, false
for i = 1, count do
    local id = ids[i]
    local c = current(id, leases[i])
    local again = not c and settled_by(id, leases[i])
    if c then
        c[SETTLED] = 'a'
        leave(id, c, COMPLETED, now)
        newly = newly + 1
        answers[i] = 1
        if results[i] ~= '' then
            kept[#kept + 1] = id
            kept[#kept + 1] = string.sub(results[i], 2)
        end
    elseif again and again[SETTLED] == 'a' then
        answers[i] = 0
    else
        answers[i] = false
        refused = true
    end
end
flush()
in_parts('HSET', ':result', kept)
if newly > 0 then
    -- Under a cap each end makes room for one.
    if call('HEXISTS', tag .. ':meta', 'max_in_flight') == 1 then woken = math.max(woken, newly) end
    if not refused then push_effects() end
end
tell()
return answers
