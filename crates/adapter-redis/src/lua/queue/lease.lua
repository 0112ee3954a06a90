-- Settles what is due, then hands out the first ready ones that the limits allow. Only heads of groups are in the order, so
-- nothing is skipped. Where much is due it hands out nothing and says so: the caller calls again.
local worker, max, visibility, waits_for, waited = take(), take_number(), take_number(), take(), take() == '1'
local secrets = take()
local settled = settle_due(256)
if settled == 256 then
    tell()
    return { now, 1, false }
end
if call('ZADD', tag .. ':seen', present(), worker) == 1 then
    -- Once per worker: those of long ago go, and the whole where nobody comes any more.
    call('ZREMRANGEBYSCORE', tag .. ':seen', '-inf', now - 2592000000000)
    call('PEXPIRE', tag .. ':seen', 2592000000)
end
local cap, rate, interval, full_at
if call('HEXISTS', tag .. ':meta', 'limits_version') == 1 then
    cap, rate, interval, full_at =
        unpack(call('HMGET', tag .. ':meta', 'max_in_flight', 'rate_count', 'rate_interval', 'full_at'))
end
local allowed, token_at = max, nil
if cap then allowed = math.max(0, math.min(allowed, cap - call('ZCARD', tag .. ':leased'))) end
if rate then
    -- rules::TokenBucket
    full_at = full_at and tonumber(full_at) or now
    interval = tonumber(interval)
    local room, owed = rate * interval, math.max(0, full_at - now)
    local tokens = math.max(0, math.floor((room - owed) / interval))
    if tokens == 0 then token_at = now + owed - (room - interval) end
    allowed = math.min(allowed, tokens)
end
local places = allowed > 0 and call('ZPOPMIN', tag .. ':order', allowed) or {}
local count = #places / 2
if count == 0 then
    tell()
    if waits_for ~= '' then
        call('ZADD', tag .. ':waits', now + waits_for, worker)
        call('PEXPIRE', tag .. ':waits', 86400000)
    elseif waited then
        call('ZREM', tag .. ':waits', worker)
    end
    if waits_for == '' then return { now, 0, false } end
    local next_at = token_at and call('EXISTS', tag .. ':order') == 1 and token_at
    for _, set in ipairs({ ':leased', ':due' }) do
        local at = tonumber(call('ZRANGE', tag .. set, 0, 0, 'WITHSCORES')[2])
        if at and not (next_at and next_at < at) then next_at = at end
    end
    return { now, 0, next_at or false }
end
if waited then call('ZREM', tag .. ':waits', worker) end
local until_at = now + visibility
local lease_head = plain_lease(until_at, worker)
-- One plain command, the most common delivery: no list is made of it.
if count == 1 and not rate and settled == 0 then
    local id = string.sub(places[1], 22)
    local found = call('HMGET', tag .. ':commands', id, id .. BODY)
    local packed = found[1]
    if plain_stage(packed) == 0 then
        call('ZREM', tag .. ':waiting', id)
        call('ZADD', tag .. ':leased', whole(until_at), id)
        call('HSET', tag .. ':commands', id, held_by(packed, lease_head, string.sub(secrets, 1, 16)))
        return { now, 0, false, id, 0, 1, false, false, found[2] }
    end
end
local ids, fields = {}, {}
for i = 1, count do
    local id = string.sub(places[i * 2 - 1], 22)
    ids[i], fields[i * 2 - 1], fields[i * 2] = id, id, id .. BODY
end
local found = {}
for i = 1, count * 2, PART do
    local part = call('HMGET', tag .. ':commands', unpack(fields, i, math.min(i + PART - 1, count * 2)))
    if i == 1 then found = part else for j = 1, #part do found[i + j - 1] = part[j] end end
end
local answer, n, w = { now, 0, false }, 3, 0
local cores, held, until_text = {}, {}, whole(until_at)
for i = 1, count do
    local id, packed, secret = ids[i], found[i * 2 - 1], string.sub(secrets, i * 16 - 15, i * 16)
    local attempts, group, deadline, core = 1, false, false, nil
    if plain_stage(packed) == 0 then
        core = held_by(packed, lease_head, secret)
    elseif packed then
        local c = unpack_core(packed)
        attempts, group, deadline = c[ATTEMPTS] + 1, c[GROUP], c[DEADLINE]
        if deadline then file(':due', id, false) end
        c[STAGE], c[ATTEMPTS], c[UNTIL], c[WORKER] = LEASED, attempts, until_at, worker
        c[LEASE] = attempts .. ':' .. secret
        c[SETTLED], c[VERSION], c[MODIFIED] = 'o', c[VERSION] + 1, now
        if group then call('HINCRBY', tag .. ':held', group, 1) end
        core = pack_core(c)
    end
    if core then
        cores[w + 1], cores[w + 2] = id, core
        held[w + 1], held[w + 2], w = until_text, id, w + 2
        answer[n + 1], answer[n + 2], answer[n + 3], answer[n + 4], answer[n + 5], answer[n + 6] =
            id, i - 1, attempts, group, deadline, found[i * 2]
        n = n + 6
    end
end
in_parts('ZREM', ':waiting', ids)
in_parts('ZADD', ':leased', held)
in_parts('HSET', ':commands', cores)
if rate then
    call('HSET', tag .. ':meta', 'full_at', whole(math.max(full_at, now) + interval * count))
end
flush()
-- What time made ready beyond what is handed out here is for the other waiters.
if settled > 0 then
    woken = call('ZCARD', tag .. ':order')
    tell()
end
return answer
