-- Compare-and-set of a schedule and the enqueue of the command that its firing makes.
local name, expected, next_at = take(), take_number(), take()
local id, body, _, fields, more = take_command()
local packed = call('HGET', tag .. ':schedules', name)
local kept = packed and cmsgpack.unpack(packed)
local due = kept and not kept[5] and kept[1] == expected and kept[2] and tonumber(kept[2]) <= now
if not due then
    local fired_before = find(id)
    flush()
    tell()
    return fired_before and 1 or 0
end
kept[1], kept[2], kept[3], kept[4] = kept[1] + 1, next_at ~= '' and exact(next_at), false, now
call('HSET', tag .. ':schedules', name, cmsgpack.pack(kept))
reserve(1)
accept(false, id, body, fields, more)
flush()
in_parts('HSET', ':commands', bodies)
tell()
return 1
