-- Sets the limits that leases keep to; all are told to look again.
if not is_listed then return false end
local meta = tag .. ':meta'
for _, field in ipairs({ 'max_in_flight', 'rate_count', 'rate_per', 'rate_interval' }) do
    local value = take()
    if value == '' then call('HDEL', meta, field) else call('HSET', meta, field, value) end
end
call('HINCRBY', meta, 'limits_version', 1)
call('HSET', meta, 'limits_at', now)
woken = call('ZCARD', tag .. ':order')
tell()
return 1
