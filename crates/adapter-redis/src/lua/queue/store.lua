-- Takes in one command, which enqueueing and firing share. An id that lies there and is gone is replaced, and its version
-- goes on, so that a copy takes the new one.
local bodies, sequence, reserve = {}, nil, 1

-- The next arguments: the id, the command without what is known only when it is stored, its dedupe key, window and body.
local function take_command()
    local id, priority, delay, deadline = take(), take_number(), take(), take()
    local key, window, group = take(), take_number(), take()
    local ready_at = delay == '' and now or now + delay
    return {
        id, {
            1, now, READY, 0, priority, group ~= '' and group, take_number(), take_number(), take_number(),
            take_number(), take_number(), now, deadline ~= '' and exact(deadline), 0, ready_at, false, false,
            false, 'o', false, false, false, false,
        }, key ~= '' and key, window, take(),
    }
end

local function store(id, c, key, window, body)
    local old = load(id)
    if old then
        c[VERSION] = old[VERSION] + 1
        free(id, old)
    end
    -- One step of the counter for a whole list.
    sequence = (sequence or call('HINCRBY', tag .. ':meta', 'sequence', reserve) - reserve) + 1
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

-- 0 where it waits in the queue, the first one's id where its dedupe key is taken, 1 where nobody consumes.
local function accept(command, idle)
    local id, c, key, window, body = unpack(command, 1, 5)
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
