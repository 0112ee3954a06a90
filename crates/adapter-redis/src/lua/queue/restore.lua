-- Writes records that are newer than what is held: 1 for each that was written, 0 for each that was kept.
if not is_listed then return false end
local meta = tag .. ':meta'

local function is_newer(version, modified, held_version, held_modified)
    if not held_version then return true end
    held_version = tonumber(held_version)
    if version ~= held_version then return version > held_version end
    return tonumber(modified) > tonumber(held_modified)
end

local function optional(text) return text ~= '' and string.sub(text, 2) end
local function instant(text) return text ~= '' and exact(text) end

-- The one place where a command enters a group out of turn.
local function join(id, c)
    local group, members = c[GROUP], tag .. ':g:' .. c[GROUP]
    local head, is_held = oldest(group), call('HEXISTS', tag .. ':held', group) == 1
    call('ZADD', members, c[SEQUENCE], id)
    if is_held then return false end
    local other = head and load(head)
    if other and c[STAGE] ~= LEASED and oldest(group) ~= id then return false end
    if other then
        unfile(head, other)
        enter(head, other, false)
    end
    return true
end

local function restore_command()
    local id, c = take(), {}
    c[VERSION], c[MODIFIED], c[STAGE], c[SEQUENCE] = take_number(), instant(take()), take_number(), take_number()
    c[PRIORITY], c[GROUP] = take_number(), optional(take())
    for field = MAX_ATTEMPTS, RESULT_TTL do c[field] = take_number() end
    c[ENQUEUED], c[DEADLINE], c[ATTEMPTS] = instant(take()), instant(take()), take_number()
    c[READY_AT], c[UNTIL], c[WORKER] = instant(take()), instant(take()), optional(take())
    c[LEASE], c[SETTLED], c[CANCEL], c[ERROR] = optional(take()), take(), take() == '1', optional(take())
    c[ENDED], c[DELETED] = instant(take()), instant(take())
    local tombstone = take_number()
    local parts = { [BODY] = take(), [RESULT] = take(), [PROGRESS] = take() }
    local old = load(id)
    if old and not is_newer(c[VERSION], c[MODIFIED], old[VERSION], old[MODIFIED]) then return 0 end
    if old then
        local stage, group = old[STAGE], old[GROUP]
        free(id, old)
        if group and stage <= LEASED then
            call('ZREM', tag .. ':g:' .. group, id)
            advance(group)
        end
        flush()
    end
    if tonumber(call('HGET', meta, 'sequence') or 0) < c[SEQUENCE] then
        call('HSET', meta, 'sequence', whole(c[SEQUENCE]))
    end
    loaded[id], changed[id] = c, true
    file(':ids', id, 0)
    local stage = c[STAGE]
    if stage == READY then
        enter(id, c, not c[GROUP] or join(id, c))
    elseif stage == LEASED then
        if c[GROUP] then
            join(id, c)
            call('HINCRBY', tag .. ':held', c[GROUP], 1)
        end
        file(':leased', id, c[UNTIL])
        woken = woken + 1
    elseif stage == DEAD then
        file(':dead', id, 0)
        file(':dead_order', id, c[SEQUENCE])
    elseif stage == PURGED then
        file(':graves', 'c' .. id, c[DELETED] + tombstone)
    else
        file(':results', id, c[ENDED] + c[RESULT_TTL])
    end
    if stage > LEASED then ended[#ended + 1] = id end
    flush()
    for part, value in pairs(parts) do
        if value ~= '' then call('HSET', tag .. ':commands', id .. part, string.sub(value, 2)) end
    end
    return 1
end

local function restore_dedupe()
    local key, id, over, modified = take(), take(), instant(take()), instant(take())
    local packed = call('HGET', tag .. ':dedupe', key)
    local old = packed and cmsgpack.unpack(packed)
    if old and not is_newer(1, modified, 1, old[3]) then return 0 end
    call('HSET', tag .. ':dedupe', key, cmsgpack.pack({ id, over, modified }))
    call('ZADD', tag .. ':names', 0, 'd' .. key)
    call('ZADD', tag .. ':graves', over, 'd' .. key)
    return 1
end

local function restore_schedule()
    local name, version, next_at, modified, deleted = take(), take_number(), instant(take()), instant(take()), instant(take())
    local text, tombstone = optional(take()), take_number()
    local packed = call('HGET', tag .. ':schedules', name)
    local old = packed and cmsgpack.unpack(packed)
    if old and not is_newer(version, modified, old[1], old[4]) then return 0 end
    call('HSET', tag .. ':schedules', name,
        cmsgpack.pack({ version, next_at, false, modified, deleted, false, text or '' }))
    call('ZADD', tag .. ':names', 0, 's' .. name)
    if deleted then
        call('ZADD', tag .. ':graves', deleted + tombstone, 's' .. name)
    else
        call('ZREM', tag .. ':graves', 's' .. name)
    end
    local step = (deleted and 0 or 1) - ((old and not old[5]) and 1 or 0)
    if step ~= 0 then call('HINCRBY', meta, 'schedules', step) end
    return 1
end

local function restore_limits()
    local version, modified = take_number(), instant(take())
    local values = { take(), take(), take(), take() }
    local held = call('HMGET', meta, 'limits_version', 'limits_at')
    if not is_newer(version, modified, held[1], held[2]) then return 0 end
    for i, field in ipairs({ 'max_in_flight', 'rate_count', 'rate_per', 'rate_interval' }) do
        if values[i] == '' then call('HDEL', meta, field) else call('HSET', meta, field, values[i]) end
    end
    call('HSET', meta, 'limits_version', whole(version), 'limits_at', modified)
    return 1
end

local kinds = { c = restore_command, d = restore_dedupe, s = restore_schedule, l = restore_limits }
local answers, count = {}, take_number()
for i = 1, count do answers[i] = kinds[take()]() end
flush()
tell()
return answers
