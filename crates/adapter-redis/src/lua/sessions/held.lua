-- How many sessions a tag holds, dead ones included.
local function on(tag) return redis.call('ZCARD', tag .. ':a') end
