-- Removes dead letters; a tombstone of each stays until its time: how many.
local tombstone, count = take_number(), take_number()
local ids, purged = {}, {}
for i = 1, count do ids[i] = take() end
load_all(ids)
for _, id in ipairs(ids) do
    local c = loaded[id]
    if c and c[STAGE] == DEAD then
        unfile(id, c)
        c[STAGE], c[DELETED], c[VERSION], c[MODIFIED] = PURGED, now, c[VERSION] + 1, now
        changed[id] = true
        file(':graves', 'c' .. id, now + tombstone)
        purged[#purged + 1] = id
    end
end
flush()
for _, kept in ipairs({ ':body', ':result', ':progress' }) do in_parts('HDEL', kept, purged) end
return #purged
