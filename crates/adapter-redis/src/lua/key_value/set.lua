-- Writes entries one after the other, each where its condition holds and its key of idempotence is new. Each write frees two
-- dead entries, so that a bucket that is written to does not grow with what has ended.
local tenant, bucket, window, count = take(), take(), take_number(), take_number()
local answers = {}
for i = 1, count do
  local name, value, ttl, condition, expected, op = take(), take(), take(), take(), take(), take()
  local replay = op ~= '' and tag .. ':r:' .. op
  local first = replay and redis.call('HMGET', replay, 'u', 'a')
  if first and first[1] and tonumber(first[1]) > now then
    answers[i] = { 'done', first[2] }
  else
    local before = held(name)
    local live = before and before.live
    if condition == 'absent' and live then
      answers[i] = { 'refused', before.version }
    elseif condition == 'version' and not (live and before.version == expected) then
      answers[i] = { 'refused', live and before.version or false }
    else
      local version = put(name, before, value, ttl ~= '' and now + tonumber(ttl) or nil, false)
      if replay then
        redis.call('HSET', replay, 'u', now + window, 'a', version)
        redis.call('PEXPIRE', replay, math.ceil(window / 1000))
      end
      free(2)
      answers[i] = { 'done', version }
    end
  end
end
if not is_registered then redis.call('HSET', tag .. ':b', 't', tenant, 'n', bucket) end
return answers
