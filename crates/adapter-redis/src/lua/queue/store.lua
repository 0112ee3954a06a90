-- Takes in one command, which enqueueing and firing share. An id that lies there and is gone is replaced, and its version
-- goes on, so that a copy takes the new one.
local bodies, sequence

-- The next arguments: the id, the body, the digits of the priority, the packed fields from the priority to the result's
-- time, and what a plain command has not: delay, deadline, dedupe key, its window, group.
local function take_command()
    local a, at = arguments, taken
    local more = a[at + 5] ~= '' and { a[at + 6], a[at + 7], a[at + 8], tonumber(a[at + 9]), a[at + 10] }
    taken = at + (more and 10 or 5)
    return a[at + 1], a[at + 2], a[at + 3], a[at + 4], more
end

local function store(id, body, fields, more)
    local c = unpack_core(stored(0, fields))
    local key = false
    if more then
        if more[1] ~= '' then c[READY_AT] = now + more[1] end
        if more[2] ~= '' then c[DEADLINE] = exact(more[2]) end
        if more[3] ~= '' then key = more[3] end
        if more[5] ~= '' then c[GROUP] = more[5] end
    end
    local old = load(id)
    if old then
        c[VERSION] = old[VERSION] + 1
        free(id, old)
    end
    sequence = sequence + 1
    c[SEQUENCE] = sequence
    loaded[id] = c
    if key then
        call('HSET', tag .. ':dedupe', key, cmsgpack.pack({ id, now + more[4], now }))
        call('ZADD', tag .. ':names', 0, 'd' .. key)
        call('ZADD', tag .. ':graves', now + more[4], 'd' .. key)
    end
    local n = #bodies
    bodies[n + 1], bodies[n + 2] = id .. BODY, body
    file(':ids', id, 0)
    local head = true
    if c[GROUP] then
        local members = tag .. ':g:' .. c[GROUP]
        call('ZADD', members, sequence, id)
        head = call('ZCARD', members) == 1
    end
    enter(id, c, head)
    -- A deadline that has passed already.
    if c[DEADLINE] then settle(id, c) end
end

-- The numbers of so many commands: one step of the counter for a whole list.
local function reserve(count)
    sequence = call('HINCRBY', tag .. ':meta', 'sequence', count) - count
end

-- 0 where it waits in the queue, the first one's id where its dedupe key is taken, 1 where nobody consumes.
local function accept(idle, id, body, fields, more)
    if find(id) then return 0 end
    local kept = more and more[3] ~= '' and call('HGET', tag .. ':dedupe', more[3])
    if kept then
        local first = cmsgpack.unpack(kept)
        if tonumber(first[2]) > now then return first[1] end
    end
    if idle then return 1 end
    store(id, body, fields, more)
    return 0
end
-- With each call:
bodies, sequence = {}, nil
-- At its end:
bodies = nil
