-- Every script of a queue goes on with this: how a command is kept, where it is filed, what time alone makes of it. One
-- packed text a command, in one hash, so that a list of commands is one HMGET and one HSET (its payload, result and
-- progress are fields beside it: its id and a letter); filing is collected and written once. The steps are those of rules::CommandCore; the tests hold the two against each other.
local call, pack_core, unpack_core
-- The places of a command's fields.
local VERSION <const> = 1
local MODIFIED <const> = 2
local STAGE <const> = 3
local SEQUENCE <const> = 4
local PRIORITY <const> = 5
local GROUP <const> = 6
local MAX_ATTEMPTS <const> = 7
local BASE <const> = 8
local CAP <const> = 9
local JITTER <const> = 10
local RESULT_TTL <const> = 11
local ENQUEUED <const> = 12
local DEADLINE <const> = 13
local ATTEMPTS <const> = 14
local READY_AT <const> = 15
local UNTIL <const> = 16
local WORKER <const> = 17
local LEASE <const> = 18
local SETTLED <const> = 19
local CANCEL <const> = 20
local ERROR <const> = 21
local ENDED <const> = 22
local DELETED <const> = 23
-- rules::Stage. READY also stands for "queued" where a command leaves for it.
local READY <const> = 0
local PARKED <const> = 1
local BLOCKED <const> = 2
local LEASED <const> = 3
local COMPLETED <const> = 4
local DEAD <const> = 5
local CANCELLED <const> = 6
local PURGED <const> = 7
-- Behind the id: the fields of a command's payload, result and progress.
local BODY <const> = 'b'
local RESULT <const> = 'r'
local PROGRESS <const> = 'p'
local RAN_OUT <const> = 'the lease ran out before the attempt was finished'
local LATE <const> = 'the deadline passed before the command was finished'
-- What unpack takes at once is bounded by the stack; even, so that pairs stay together.
local PART <const> = 4000

local function in_parts(command, set, args)
    local count = #args
    for i = 1, count, PART do
        call(command, tag .. set, unpack(args, i, math.min(i + PART - 1, count)))
    end
end

-- A number as text where a double holds it, else the text as it came: instants beyond the year 2255.
local function exact(text)
    local number = tonumber(text)
    if number and number < 9007199254740992 and number > -9007199254740992 then return number end
    return text
end

-- Commands by id: a table, or false for none. What a call left empty serves the next one.
local loaded, changed, freed, filing
local is_clear = false

local function load_all(ids)
    for i = 1, #ids, PART do
        local found = call('HMGET', tag .. ':commands', unpack(ids, i, math.min(i + PART - 1, #ids)))
        for j = 1, #found do
            local id = ids[i + j - 1]
            if loaded[id] == nil then loaded[id] = found[j] and unpack_core(found[j]) end
        end
    end
end

local function load(id)
    if loaded[id] == nil then
        local packed = call('HGET', tag .. ':commands', id)
        loaded[id] = packed and unpack_core(packed)
    end
    return loaded[id]
end

-- Score false: out of the set. The last word on a member counts.
local function file(set, member, score)
    local members = filing[set]
    if not members then
        members = {}
        filing[set] = members
    end
    members[member] = score
end

local function flush()
    for set, members in pairs(filing) do
        local add, out, a, o = {}, {}, 0, 0
        for member, score in pairs(members) do
            if score then
                add[a + 1], add[a + 2], a = score, member, a + 2
            else
                out[o + 1], o = member, o + 1
            end
        end
        in_parts('ZREM', set, out)
        in_parts('ZADD', set, add)
    end
    filing = {}
    if freed[1] then
        in_parts('HDEL', ':commands', freed)
        freed = {}
    end
    local cores, n = {}, 0
    for id in pairs(changed) do cores[n + 1], cores[n + 2], n = id, pack_core(loaded[id]), n + 2 end
    in_parts('HSET', ':commands', cores)
    changed = {}
end

-- Whom the change concerns: so many came to be ready (one too many only makes a waiter look); these ended.
local woken, ended

-- A user who may not publish only makes others wait longer.
local function tell()
    if woken > 0 then redis.pcall('SPUBLISH', tag .. ':ready', woken) end
    if ended[1] then redis.pcall('SPUBLISH', tag .. ':ended', ended[2] and table.concat(ended) or ended[1]) end
end

-- Priority, then sequence: members of equal score are in bytewise order.
local function place(id, c) return string.format('%05d%016d', 32767 - c[PRIORITY], c[SEQUENCE]) .. id end

local function is_gone(c)
    if c[DELETED] then return true end
    return (c[STAGE] == COMPLETED or c[STAGE] == CANCELLED) and c[ENDED] + c[RESULT_TTL] <= now
end

-- Files a queued command; `head`: no older one of its group is unfinished.
local function enter(id, c, head)
    local due = c[DEADLINE]
    file(':waiting', id, c[READY_AT])
    if not head then
        c[STAGE] = BLOCKED
    elseif tonumber(c[READY_AT]) > now then
        c[STAGE] = PARKED
        due = (due and tonumber(due) < tonumber(c[READY_AT])) and due or c[READY_AT]
    else
        c[STAGE] = READY
        file(':order', place(id, c), 0)
        woken = woken + 1
    end
    if due then file(':due', id, due) end
    changed[id] = true
end

-- Out of every set that its stage is in. A group's list of the unfinished is the caller's.
local function unfile(id, c)
    local stage = c[STAGE]
    if stage <= BLOCKED then
        file(':waiting', id, false)
        if stage == READY then file(':order', place(id, c), false) end
        if stage == PARKED or c[DEADLINE] then file(':due', id, false) end
    elseif stage == LEASED then
        file(':leased', id, false)
        if c[GROUP] and call('HINCRBY', tag .. ':held', c[GROUP], -1) <= 0 then
            call('HDEL', tag .. ':held', c[GROUP])
        end
    elseif stage == DEAD then
        file(':dead', id, false)
        file(':dead_order', id, false)
    elseif stage == PURGED then
        file(':graves', 'c' .. id, false)
    else
        file(':results', id, false)
    end
end

local function oldest(group) return call('ZRANGE', tag .. ':g:' .. group, 0, 0)[1] end

-- The oldest unfinished one of a group is its head unless one of it is held.
local function advance(group)
    local id = oldest(group)
    if not id or call('HEXISTS', tag .. ':held', group) == 1 then return end
    local c = load(id)
    if c and c[STAGE] == BLOCKED then
        unfile(id, c)
        enter(id, c, true)
    end
end

-- `at` is the READY_AT of a queued one, else the end.
local function leave(id, c, stage, at)
    local group, blocked = c[GROUP], c[STAGE] == BLOCKED
    unfile(id, c)
    c[UNTIL], c[WORKER] = false, false
    c[VERSION], c[MODIFIED] = c[VERSION] + 1, now
    changed[id] = true
    if stage == READY then
        c[READY_AT] = at
        if group then
            -- A restore may have put an older one before it, or another one that is held beside it.
            local head = oldest(group) == id and call('HEXISTS', tag .. ':held', group) == 0
            enter(id, c, head)
            if not head then advance(group) end
        else
            enter(id, c, true)
        end
        return
    end
    c[STAGE], c[ENDED] = stage, at
    ended[#ended + 1] = id
    if stage == DEAD then
        file(':dead', id, 0)
        file(':dead_order', id, c[SEQUENCE])
    else
        file(':results', id, at + c[RESULT_TTL])
    end
    if group then
        call('ZREM', tag .. ':g:' .. group, id)
        if not blocked then advance(group) end
    end
end

-- rules::overdue written down, and a command whose time has come made ready.
local function settle(id, c)
    local stage, deadline = c[STAGE], c[DEADLINE] and tonumber(c[DEADLINE])
    if stage == LEASED then
        local at = tonumber(c[UNTIL])
        if at > now then return end
        c[SETTLED] = 'e'
        if c[CANCEL] then
            leave(id, c, CANCELLED, at)
        elseif c[ATTEMPTS] >= c[MAX_ATTEMPTS] then
            c[ERROR] = RAN_OUT
            leave(id, c, DEAD, at)
        elseif deadline and deadline <= now then
            c[ERROR] = LATE
            leave(id, c, DEAD, math.max(deadline, at))
        else
            c[ERROR] = RAN_OUT
            leave(id, c, READY, at)
        end
    elseif stage <= BLOCKED and deadline and deadline <= now then
        c[ERROR] = LATE
        leave(id, c, DEAD, deadline)
    elseif stage == PARKED and tonumber(c[READY_AT]) <= now then
        unfile(id, c)
        enter(id, c, true)
    end
end

local function settle_set(set, most)
    local ids = call('ZRANGEBYSCORE', tag .. set, '-inf', present(), 'LIMIT', '0', most)
    if not ids[1] then return 0 end
    load_all(ids)
    for _, id in ipairs(ids) do
        if loaded[id] then settle(id, loaded[id]) else file(set, id, false) end
    end
    return #ids
end

-- Settles up to `most` of what is due: how many.
local function settle_due(most)
    local count = settle_set(':leased', most)
    if count < most then count = count + settle_set(':due', most - count) end
    if count > 0 then flush() end
    return count
end

-- A command that a reader may see, with what time has made of it.
local function find(id)
    local c = load(id)
    if not c then return false end
    settle(id, c)
    return not is_gone(c) and c
end

-- The command of a lease that is current.
local function current(id, lease)
    local c = load(id)
    return c and c[STAGE] == LEASED and c[LEASE] == lease and tonumber(c[UNTIL]) > now and c
end

-- The command whose last delivery was this lease, for those who say again what they said.
local function settled_by(id, lease)
    local c = load(id)
    return c and c[LEASE] == lease and not is_gone(c) and c
end

local function free(id, c)
    unfile(id, c)
    file(':ids', id, false)
    local n = #freed
    freed[n + 1], freed[n + 2], freed[n + 3], freed[n + 4] = id, id .. BODY, id .. RESULT, id .. PROGRESS
    loaded[id], changed[id] = false, nil
end
-- With each call:
call, pack_core, unpack_core = redis.call, cmsgpack.pack, cmsgpack.unpack
woken = 0
if not is_clear then loaded, changed, freed, filing, ended = {}, {}, {}, {}, {} end
is_clear = false
-- At its end:
is_clear = not (next(loaded) or next(changed) or next(filing) or freed[1] or ended[1])
if not is_clear then loaded, changed, freed, filing, ended = nil, nil, nil, nil, nil end
