-- Completes what is current of a list: 1, or 0 for a repeat, or nil. The effects are written where none was refused.
local count = take_number()
local ids, leases, given, answers = {}, {}, {}, {}
for i = 1, count do ids[i], leases[i], given[i] = take(), take(), take() end
load_all(ids)
local kept, newly, refused = {}, 0, false
local out, results, cores, n = {}, {}, {}, 0
for i = 1, count do
    local id = ids[i]
    local c = current(id, leases[i])
    local again = not c and settled_by(id, leases[i])
    if c then
        c[SETTLED] = 'a'
        if c[GROUP] then
            leave(id, c, COMPLETED, now)
        else
            -- What `leave` does of one without a group.
            c[STAGE], c[ENDED], c[UNTIL], c[WORKER] = COMPLETED, now, false, false
            c[VERSION], c[MODIFIED] = c[VERSION] + 1, now
            out[#out + 1], ended[#ended + 1] = id, id
            results[n + 1], results[n + 2] = now + c[RESULT_TTL], id
            cores[n + 1], cores[n + 2], n = id, pack_core(c), n + 2
        end
        newly = newly + 1
        answers[i] = 1
        if given[i] ~= '' then
            kept[#kept + 1] = id
            kept[#kept + 1] = string.sub(given[i], 2)
        end
    elseif again and again[SETTLED] == 'a' then
        answers[i] = 0
    else
        answers[i] = false
        refused = true
    end
end
in_parts('ZREM', ':leased', out)
in_parts('ZADD', ':results', results)
in_parts('HSET', ':core', cores)
flush()
in_parts('HSET', ':result', kept)
if newly > 0 then
    -- Under a cap each end makes room for one.
    if call('HEXISTS', tag .. ':meta', 'max_in_flight') == 1 then woken = math.max(woken, newly) end
    if not refused then push_effects() end
end
tell()
return answers
