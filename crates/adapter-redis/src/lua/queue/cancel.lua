-- Ends a waiting command, or marks a running one: its stage as it was found, or nil.
local id = take()
local c = find(id)
if not c then return false end
local stage = c[STAGE]
if stage <= BLOCKED then
    leave(id, c, CANCELLED, now)
    stage = READY
elseif stage == LEASED and not c[CANCEL] then
    c[CANCEL], c[VERSION], c[MODIFIED] = true, c[VERSION] + 1, now
    changed[id] = true
end
flush()
tell()
return stage
