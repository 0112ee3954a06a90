-- Effects of a change: taken before anything is written, pushed after the last refusal. Each key has its own list, and only
-- the keys that nobody holds stand among the ready ones, so that no reader walks over what is held.
local effects
local function take_effects()
  local stamp, count = take_number(), take_number()
  if count == 0 then return end
  check_stamp(stamp)
  effects = {}
  for i = 1, count do effects[i] = { take(), take() } end
end
local function push_effects()
  if not effects then return end
  for _, effect in ipairs(effects) do
    local key, entry = effect[1], effect[2]
    local sequence = redis.call('INCR', tag .. ':o:s')
    local length = redis.call('RPUSH', tag .. ':o:k:' .. key, whole(sequence) .. ' ' .. whole(now) .. ' ' .. entry)
    if length == 1 then redis.call('ZADD', tag .. ':o:r', sequence, key) end
  end
  redis.call('INCRBY', tag .. ':o:d', #effects)
end
-- With each call:
effects = nil
take_effects()
-- At its end:
effects = nil
