-- Compare-and-set of a schedule; `rule` is a digest, by which a repeat is known: whether it was put, and its version.
local name, expected, next_at, rule, text = take(), take_number(), take(), take(), take()
if not is_listed then return false end
local packed = call('HGET', tag .. ':schedules', name)
local kept = packed and cmsgpack.unpack(packed)
local live = kept and not kept[5]
local present = live and kept[1] or 0
if present ~= expected then
    local again = live and kept[3] == expected and kept[6] == rule
    return { again and 1 or 0, present }
end
local version = (kept and kept[1] or 0) + 1
call('HSET', tag .. ':schedules', name,
    cmsgpack.pack({ version, next_at ~= '' and exact(next_at), expected, now, false, rule, text }))
if not live then
    call('HINCRBY', tag .. ':meta', 'schedules', 1)
    call('ZADD', tag .. ':names', 0, 's' .. name)
    if kept then call('ZREM', tag .. ':graves', 's' .. name) end
end
return { 1, version }
