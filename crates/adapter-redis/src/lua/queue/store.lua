-- Takes in one command, which enqueueing and firing share. An id that lies there and is gone is replaced, and its version
-- goes on, so that a copy takes the new one.
local bodies, sequence

-- The next arguments: the id, the command without what is known only when it is stored, its dedupe key, window and body.
local COMMAND_ARGUMENTS <const> = 13
local function take_command()
    local a, at = arguments, taken
    taken = at + COMMAND_ARGUMENTS
    local delay, deadline, key, group = a[at + 3], a[at + 4], a[at + 5], a[at + 7]
    return a[at + 1], {
        1, now, READY, 0, tonumber(a[at + 2]), group ~= '' and group, tonumber(a[at + 8]), tonumber(a[at + 9]),
        tonumber(a[at + 10]), tonumber(a[at + 11]), tonumber(a[at + 12]), now, deadline ~= '' and exact(deadline), 0,
        delay == '' and now or now + delay, false, false, false, 'o', false, false, false, false,
    }, key ~= '' and key, tonumber(a[at + 6]), a[at + 13]
end

local function store(id, c, key, window, body)
    local old = load(id)
    if old then
        c[VERSION] = old[VERSION] + 1
        free(id, old)
    end
    sequence = sequence + 1
    c[SEQUENCE] = sequence
    loaded[id] = c
    if key then
        call('HSET', tag .. ':dedupe', key, cmsgpack.pack({ id, now + window, now }))
        call('ZADD', tag .. ':names', 0, 'd' .. key)
        call('ZADD', tag .. ':graves', now + window, 'd' .. key)
    end
    local n = #bodies
    bodies[n + 1], bodies[n + 2] = id, body
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
local function accept(idle, id, c, key, window, body)
    if find(id) then return 0 end
    local kept = key and call('HGET', tag .. ':dedupe', key)
    if kept then
        local first = cmsgpack.unpack(kept)
        if tonumber(first[2]) > now then return first[1] end
    end
    if idle then return 1 end
    store(id, c, key, window, body)
    return 0
end
-- With each call:
bodies, sequence = {}, nil
-- At its end:
bodies = nil
