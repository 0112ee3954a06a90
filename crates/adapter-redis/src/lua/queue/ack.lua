-- Completes what is current of a list: 1, or 0 for a repeat, or nil. The effects are written where none was refused.
local count = take_number()
-- One plain command, the most common list: no list is made of it.
if count == 1 then
    local id, lease, result = arguments[taken + 1], arguments[taken + 2], arguments[taken + 3]
    local text = call('HGET', tag .. ':commands', id)
    if plain_stage(text) == LEASED and plain_current(text, lease) then
        call('ZREM', tag .. ':leased', id)
        call('ZADD', tag .. ':results', result_end(text), id)
        if result == '' then
            call('HSET', tag .. ':commands', id, completed(text, lease))
        else
            call('HSET', tag .. ':commands', id, completed(text, lease), id .. RESULT, string.sub(result, 2))
        end
        if call('HEXISTS', tag .. ':meta', 'max_in_flight') == 1 then woken = 1 end
        push_effects()
        redis.pcall('SPUBLISH', tag .. ':ended', id)
        tell()
        return { 1 }
    end
end
local ids, leases, given, answers = {}, {}, {}, {}
for i = 1, count do ids[i], leases[i], given[i] = take(), take(), take() end
local texts = {}
for i = 1, count, PART do
    local found = call('HMGET', tag .. ':commands', unpack(ids, i, math.min(i + PART - 1, count)))
    for j = 1, #found do texts[ids[i + j - 1]] = found[j] end
end
local newly, refused = 0, false
local results, cores, r, n = {}, {}, 0, 0
for i = 1, count do
    local id, lease = ids[i], leases[i]
    local text = texts[id]
    answers[i] = false
    if loaded[id] == nil and plain_stage(text) == LEASED then
        if plain_current(text, lease) then
            local core = completed(text, lease)
            cores[n + 1], cores[n + 2], n = id, core, n + 2
            results[r + 1], results[r + 2], r = result_end(text), id, r + 2
            newly = newly + 1
            ended[#ended + 1], texts[id], answers[i] = id, core, 1
        end
    else
        if loaded[id] == nil then loaded[id] = text and unpack_core(text) end
        local c = current(id, lease)
        local again = not c and settled_by(id, lease)
        if c then
            c[SETTLED] = 'a'
            leave(id, c, COMPLETED, now)
            newly = newly + 1
            answers[i] = 1
        elseif again and again[SETTLED] == 'a' then
            answers[i] = 0
        end
    end
    if not answers[i] then
        refused = true
    elseif answers[i] == 1 and given[i] ~= '' then
        cores[n + 1], cores[n + 2], n = id .. RESULT, string.sub(given[i], 2), n + 2
    end
end
if r > 0 then
    local out = {}
    for i = 2, r, 2 do out[i / 2] = results[i] end
    in_parts('ZREM', ':leased', out)
    in_parts('ZADD', ':results', results)
end
flush()
in_parts('HSET', ':commands', cores)
if newly > 0 then
    -- Under a cap each end makes room for one.
    if call('HEXISTS', tag .. ':meta', 'max_in_flight') == 1 then woken = math.max(woken, newly) end
    if not refused then push_effects() end
end
tell()
return answers
