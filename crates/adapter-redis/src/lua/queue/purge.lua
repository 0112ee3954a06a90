-- Removes dead letters; a tombstone of each stays until its time: how many.
local tombstone, count = take_number(), take_number()
local ids, parts, purged = {}, {}, 0
for i = 1, count do ids[i] = take() end
load_all(ids)
for _, id in ipairs(ids) do
    local c = loaded[id]
    if c and c[STAGE] == DEAD then
        unfile(id, c)
        c[STAGE], c[DELETED], c[VERSION], c[MODIFIED] = PURGED, now, c[VERSION] + 1, now
        changed[id] = true
        file(':graves', 'c' .. id, now + tombstone)
        purged = purged + 1
        parts[#parts + 1] = id .. BODY
        parts[#parts + 1] = id .. RESULT
        parts[#parts + 1] = id .. PROGRESS
    end
end
flush()
in_parts('HDEL', ':commands', parts)
return purged
