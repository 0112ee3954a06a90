-- A page of hints by name, each with its stamp, and the present to compare the stamps with.
local names = redis.call('ZRANGEBYLEX', tag .. ':m', take(), '+', 'LIMIT', 0, take_number())
local page = { whole(now) }
for i, name in ipairs(names) do page[i + 1] = { name, redis.call('HGET', tag .. ':t', name) or '0' } end
return page
