-- A page of a directory by name, each tag with its stamp, and the present to compare the stamps with. The members have
-- different scores, so the order by name is made here: a shard holds a sixteenth of all tags.
local after, limit = take(), take_number()
local all, found = redis.call('ZRANGE', tag .. ':t', 0, -1, 'WITHSCORES'), {}
for i = 1, #all, 2 do
  if after == '' or bytes_less(after, all[i]) then found[#found + 1] = { all[i], all[i + 1] } end
end
table.sort(found, function(a, b) return bytes_less(a[1], b[1]) end)
local page = { whole(now) }
for i = 1, math.min(limit, #found) do page[#page + 1] = found[i] end
return page
