-- Takes a tag out of a directory after nothing was found under it, unless it was announced again since.
local name, stamp = take(), take_number()
if tonumber(redis.call('ZSCORE', tag .. ':t', name) or '') == stamp then redis.call('ZREM', tag .. ':t', name) end
return 0
