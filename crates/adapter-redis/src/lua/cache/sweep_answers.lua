-- Frees answers that can never be served, of the next stretch of the list; what the server freed only leaves the list.
-- ARGV: present, window, after which fingerprint, how many to look at, how many to free; returns freed, the last looked at
local from = ARGV[3] == '' and '-' or '(' .. ARGV[3]
local looked = redis.call('ZRANGEBYLEX', listed, from, '+', 'LIMIT', 0, ARGV[4])
local freed, most, last = 0, tonumber(ARGV[5]), ARGV[3]
for _, fingerprint in ipairs(looked) do
  if freed == most then return {freed, last} end
  local text = judged(fingerprint)
  if not servable(text) then
    if text ~= '' then
      redis.call('UNLINK', answers .. fingerprint)
      freed = freed + 1
    end
    local buried = redis.call('HGET', held, 'k' .. fingerprint)
    if not tombstone(buried) then
      if buried then redis.call('HDEL', held, 'k' .. fingerprint) end
      redis.call('ZREM', listed, fingerprint)
    end
  end
  last = fingerprint
end
return {freed, #looked < tonumber(ARGV[4]) and '' or last}
