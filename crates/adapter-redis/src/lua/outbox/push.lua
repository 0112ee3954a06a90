-- Effects of a change: taken before anything is written, pushed after the last refusal. Each key has its own list, and only
-- the keys that nobody holds stand among the ready ones, so that no reader walks over what is held.
local effects = { stamp = take_number(), count = take_number() }
if effects.count > 0 then check_stamp(effects.stamp) end
for i = 1, effects.count do effects[i] = { take(), take() } end
local function push_effects()
  for i = 1, effects.count do
    local key, entry = effects[i][1], effects[i][2]
    local sequence = redis.call('INCR', tag .. ':o:s')
    local length = redis.call('RPUSH', tag .. ':o:k:' .. key, whole(sequence) .. ' ' .. whole(now) .. ' ' .. entry)
    if length == 1 then redis.call('ZADD', tag .. ':o:r', sequence, key) end
  end
  if effects.count > 0 then redis.call('INCRBY', tag .. ':o:d', effects.count) end
end
