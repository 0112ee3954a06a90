-- How many sessions of a tenant live under a tag.
local tenant = take()
local function on(tag) return redis.call('ZCOUNT', tag .. ':n:' .. tenant, '(' .. whole(now), '+inf') end
