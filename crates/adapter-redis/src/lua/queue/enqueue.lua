-- Stores what is new of a list, all in one step: what is kept of each id and the sequence are read once, written once.
-- Plain commands (at once, alone, for ever, under no key of their own) go straight to their places.
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
-- One plain command, the most common list: no list is made of it.
if count == 1 and not idle and arguments[taken + 5] == '' then
    local id, body, rank, fields = take_command()
    if call('ZADD', tag .. ':ids', 'NX', '0', id) == 1 then
        sequence = sequence + 1
        call('ZADD', tag .. ':waiting', present(), id)
        call('ZADD', tag .. ':order', '0', rank .. string.format('%016d', sequence) .. id)
        call('HSET', tag .. ':commands', id, stored(sequence, fields), id .. BODY, body)
        push_effects()
        woken = 1
        tell()
        return { 0 }
    end
    taken = taken - 5
end
-- Where all are plain and new, nothing need be read.
local plain, ids, given, ranks, fields, extras = not idle, {}, {}, {}, {}, {}
local names, n = {}, 0
for i = 1, count do
    local id, body, rank, packed, more = take_command()
    ids[i], given[i], ranks[i], fields[i], extras[i] = id, body, rank, packed, more
    names[n + 1], names[n + 2], n = '0', id, n + 2
    plain = plain and not more
end
local added = 0
if plain then
    for i = 1, n, PART do
        added = added + call('ZADD', tag .. ':ids', 'NX', unpack(names, i, math.min(i + PART - 1, n)))
    end
end
if plain and added == count then
    local order, waiting, cores, at, b = {}, {}, {}, present(), 0
    n = 0
    for i = 1, count do
        local id = ids[i]
        sequence = sequence + 1
        waiting[n + 1], waiting[n + 2] = at, id
        order[n + 1], order[n + 2], n = '0', ranks[i] .. string.format('%016d', sequence) .. id, n + 2
        cores[b + 1], cores[b + 2], cores[b + 3], cores[b + 4] = id, stored(sequence, fields[i]), id .. BODY, given[i]
        b = b + 4
        answers[i] = 0
    end
    in_parts('ZADD', ':waiting', waiting)
    in_parts('ZADD', ':order', order)
    in_parts('HSET', ':commands', cores)
    woken = count
    push_effects()
else
    load_all(ids)
    for i = 1, count do answers[i] = accept(idle, ids[i], given[i], fields[i], extras[i]) end
    flush()
    in_parts('HSET', ':commands', bodies)
    if bodies[1] then push_effects() end
end
tell()
return answers
