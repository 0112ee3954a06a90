-- Whether a listing names the queue: a command that can be seen, limits or a live schedule.
settle_due(256)
tell()
local kept = call('HMGET', tag .. ':meta', 'max_in_flight', 'rate_count', 'schedules')
if kept[1] or kept[2] or (kept[3] and kept[3] ~= '0') then return 1 end
if call('EXISTS', tag .. ':waiting', tag .. ':leased', tag .. ':dead') > 0 then return 1 end
return call('ZCOUNT', tag .. ':results', '(' .. whole(now), '+inf') > 0 and 1 or 0
