-- What is left to a live entry: a span, or an empty text for ever.
local field = redis.call('HMGET', tag .. ':e:' .. take(), 'n', 'x', 'd')
local ends = tonumber(field[2] or '')
if not field[1] or field[3] or (ends and ends <= now) then return false end
return ends and whole(ends - now) or ''
