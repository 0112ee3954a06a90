-- Ends an attempt without success: rules::after_failure, with the wait of rules::backoff whose jitter the caller computed.
local id, lease, verdict, wait, jitter, text = take(), take(), take(), take_number(), take_number(), take()
local again = settled_by(id, lease)
if again and string.sub(again[SETTLED], 1, 1) == 'f' then return string.sub(again[SETTLED], 2) end
local c = current(id, lease)
if not c then return false end
if verdict == 'r' then
    local full = math.min(c[BASE] * 2 ^ math.min(c[ATTEMPTS] - 1, 32), c[CAP])
    local spread = math.floor(full / 100) * c[JITTER] + math.floor(full % 100 * c[JITTER] / 100)
    wait = (full - math.min(full, math.floor(spread * jitter / 65536))) * 1000
end
local at = now + wait
local late = c[DEADLINE] and tonumber(c[DEADLINE]) <= at
c[ERROR] = text
local outcome
if c[CANCEL] then
    outcome = 'c'
    leave(id, c, CANCELLED, now)
elseif verdict == 'd' or c[ATTEMPTS] >= c[MAX_ATTEMPTS] or late then
    outcome = 'd'
    leave(id, c, DEAD, now)
else
    -- Timestamp::MAX, which no double is.
    outcome = at >= 253402300799999900 and '253402300799999999' or whole(at)
    leave(id, c, READY, exact(outcome))
end
c[SETTLED] = 'f' .. outcome
flush()
if call('HEXISTS', tag .. ':meta', 'max_in_flight') == 1 then woken = math.max(woken, 1) end
tell()
return outcome
