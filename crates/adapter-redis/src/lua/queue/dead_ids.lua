-- The next dead letters in the order of their enqueue, of those from before the caller began.
local call = redis.call
local before, limit = take(), take_number()
if before == '' then before = call('HGET', tag .. ':meta', 'sequence') or '0' end
return { before, call('ZRANGEBYSCORE', tag .. ':dead_order', '-inf', before, 'LIMIT', 0, limit) }
