-- Stores what is new of a list, all in one step: what is kept of each id and the sequence are read once, written once.
local refuse, count = take(), take_number()
local idle = false
if refuse ~= '' then
    local seen = call('ZRANGE', tag .. ':seen', 0, 0, 'REV', 'WITHSCORES')[2]
    local waits = call('ZRANGE', tag .. ':waits', 0, 0, 'REV', 'WITHSCORES')[2]
    idle = not (seen and tonumber(seen) > now - refuse) and not (waits and tonumber(waits) > now)
end
local answers = {}
if not is_listed then
    if not idle then return false end
    for i = 1, count do answers[i] = 1 end
    return answers
end
local commands, ids = {}, {}
for i = 1, count do
    commands[i] = take_command()
    ids[i] = commands[i][1]
end
load_all(ids)
reserve = count
for i = 1, count do answers[i] = accept(commands[i], idle) end
flush()
in_parts('HSET', ':body', bodies)
if bodies[1] then push_effects() end
tell()
return answers
