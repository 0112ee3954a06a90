-- One command as it was last written, for observers: it changes nothing, so the caller applies what time has made of it.
local call = redis.call
local id, parts = take(), { now }
local packed = call('HGET', tag .. ':commands', id)
if not packed then return false end
parts[2] = cmsgpack.unpack(packed)
while true do
    local part = take()
    if not part then break end
    parts[#parts + 1] = call('HGET', tag .. ':commands', id .. part)
end
return parts
