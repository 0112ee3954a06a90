-- Whether a tag has sessions to look at for sweeping.
local function on(tag) return redis.call('ZCOUNT', tag .. ':d', '-inf', whole(now)) end
