-- Stores what is new of a list, all in one step: what is kept of each id and the sequence are read once, written once. A
-- plain command (at once, alone, for ever, under no key of its own) goes straight to its places.
local naming, refuse, count = take() == '1', take(), take_number()
local meta = tag .. ':meta'
local idle = false
if refuse ~= '' then
    local seen = call('ZRANGE', tag .. ':seen', 0, 0, 'REV', 'WITHSCORES')[2]
    local waits = call('ZRANGE', tag .. ':waits', 0, 0, 'REV', 'WITHSCORES')[2]
    idle = not (seen and tonumber(seen) > now - refuse) and not (waits and tonumber(waits) > now)
end
local answers = {}
if idle then
    if call('HEXISTS', meta, 'listed') == 0 then
        for i = 1, count do answers[i] = 1 end
        return answers
    end
else
    reserve(count)
    -- What has handed out a number was listed. What is not yet answers nil: the caller lists it and calls again.
    if sequence == 0 and call('HEXISTS', meta, 'listed') == 0 then
        if not naming then
            call('HDEL', meta, 'sequence')
            return false
        end
        call('HSET', meta, 'listed', 1)
    end
end
local ids, base = {}, taken + 1 - COMMAND_ARGUMENTS
for i = 1, count do ids[i] = arguments[base + i * COMMAND_ARGUMENTS] end
load_all(ids)
local names, order, waiting, cores, b, n = {}, {}, {}, {}, 0, 0
for i = 1, count do
    local id, c, key, window, body = take_command()
    if loaded[id] or key or idle or c[GROUP] or c[DEADLINE] or c[READY_AT] ~= now then
        answers[i] = accept(idle, id, c, key, window, body)
        b = #bodies
    else
        sequence = sequence + 1
        c[SEQUENCE] = sequence
        loaded[id] = c
        bodies[b + 1], bodies[b + 2], b = id, body, b + 2
        names[n + 1], names[n + 2] = 0, id
        waiting[n + 1], waiting[n + 2] = now, id
        order[n + 1], order[n + 2] = 0, place(id, c)
        cores[n + 1], cores[n + 2] = id, pack_core(c)
        n = n + 2
        answers[i] = 0
    end
end
if n > 0 then
    in_parts('ZADD', ':ids', names)
    in_parts('ZADD', ':waiting', waiting)
    in_parts('ZADD', ':order', order)
    in_parts('HSET', ':core', cores)
    woken = woken + n / 2
end
flush()
in_parts('HSET', ':body', bodies)
if b > 0 then push_effects() end
tell()
return answers
