-- Forgets a queue that holds nothing, and that it is listed: 1. Only who did so takes it off the list; 2: it had no mark.
local call = redis.call
if call('EXISTS', tag .. ':ids', tag .. ':names') > 0 then return 0 end
local kept = call('HMGET', tag .. ':meta', 'listed', 'limits_version')
if kept[2] then return 0 end
if not kept[1] then return 2 end
call('DEL', tag .. ':meta', tag .. ':waits')
return 1
