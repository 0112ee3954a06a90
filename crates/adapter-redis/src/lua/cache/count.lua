-- Adds counts, each name's in a hash of its own; beyond the limit of names they go to the rest, which has no name.
-- ARGV: present, window, limit of names, numbers a name, then of each name: room (n, model, tag), name, its counts
local limit, width = tonumber(ARGV[3]), tonumber(ARGV[4])
for at = 5, #ARGV, width + 2 do
  local room, name = ARGV[at], ARGV[at + 1]
  local key = tag .. ':s'
  if room ~= 'n' then
    local names = key .. ':' .. room
    if not redis.call('ZSCORE', names, name) then
      if redis.call('ZCARD', names) < limit then redis.call('ZADD', names, 0, name) else name = '' end
    end
    key = names .. ':' .. name
    -- The rest is there from its first count on, be it 0.
    if name == '' then redis.call('HINCRBY', key, '1', 0) end
  end
  for place = 1, width do
    local count = ARGV[at + 1 + place]
    if count ~= '0' then
      -- Exact 64 bits are the server's; the sum ends at the greatest i64.
      local sum = redis.pcall('HINCRBY', key, tostring(place), count)
      if type(sum) == 'table' and sum.err then
        if not string.find(sum.err, 'overflow', 1, true) then return sum end
        redis.call('HSET', key, tostring(place), '9223372036854775807')
      end
    end
  end
end
return 0
