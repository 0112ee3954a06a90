-- Settles what is due, then hands out the first ready ones that the limits allow. Only heads of groups are in the order, so
-- nothing is skipped. Where much is due it hands out nothing and says so: the caller calls again.
local worker, max, visibility, waits_for, waited = take(), take_number(), take_number(), take(), take() == '1'
local secrets = take()
local settled = settle_due(256)
if settled == 256 then
    tell()
    return { now, 1, false }
end
if call('ZADD', tag .. ':seen', now, worker) == 1 then
    -- Once per worker: those of long ago go, and the whole where nobody comes any more.
    call('ZREMRANGEBYSCORE', tag .. ':seen', '-inf', now - 2592000000000)
    call('PEXPIRE', tag .. ':seen', 2592000000)
end
local cap, rate, interval, full_at =
    unpack(call('HMGET', tag .. ':meta', 'max_in_flight', 'rate_count', 'rate_interval', 'full_at'))
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
local ids = {}
for i = 1, count do ids[i] = string.sub(places[i * 2 - 1], 22) end
load_all(ids)
local answer, n, w = { now, 0, false }, 3, 0
local bodies, cores, until_at, held = {}, {}, now + visibility, {}
for i = 1, count, PART do
    local part = call('HMGET', tag .. ':body', unpack(ids, i, math.min(i + PART - 1, count)))
    for j = 1, #part do bodies[i + j - 1] = part[j] end
end
for i = 1, count do
    local id = ids[i]
    local c = loaded[id]
    if c then
        local attempts = c[ATTEMPTS] + 1
        if c[DEADLINE] then file(':due', id, false) end
        c[STAGE], c[ATTEMPTS], c[UNTIL], c[WORKER] = LEASED, attempts, until_at, worker
        c[LEASE] = attempts .. ':' .. string.sub(secrets, i * 16 - 15, i * 16)
        c[SETTLED], c[VERSION], c[MODIFIED] = 'o', c[VERSION] + 1, now
        cores[w + 1], cores[w + 2] = id, pack_core(c)
        held[w + 1], held[w + 2] = until_at, id
        w = w + 2
        if c[GROUP] then call('HINCRBY', tag .. ':held', c[GROUP], 1) end
        answer[n + 1], answer[n + 2], answer[n + 3], answer[n + 4], answer[n + 5], answer[n + 6] =
            id, i - 1, attempts, c[GROUP], c[DEADLINE], bodies[i]
        n = n + 6
    end
end
in_parts('ZREM', ':waiting', ids)
in_parts('ZADD', ':leased', held)
in_parts('HSET', ':core', cores)
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
