-- Every script starts with this: the arguments in order, and the present by the server's clock unless it is given.
local tag, now, now_text, arguments, taken
local function take() taken = taken + 1; return arguments[taken] end
-- Whole numbers below 2^53 as text: Lua's own text of a large number is rounded.
local function whole(number) return string.format('%d', number) end
local function take_number() return tonumber(take()) end
-- The present as commands want it: a number would be made a text for each of them anew.
local function present()
  now_text = now_text or whole(now)
  return now_text
end
-- Readers keep an announcement for twice this long; behind an older one they might not look.
local function check_stamp(stamp)
  if math.abs(now - stamp) > 30000000 then error('ANNOUNCEMENT TOO OLD') end
end
-- Bytewise order. Lua's own follows the locale that the server was started in.
local function bytes_less(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = a:byte(i), b:byte(i)
    if x ~= y then return x < y end
  end
  return #a < #b
end
-- Order of whole numbers as digits, for those that lie beyond what Lua counts exactly.
local function digits_less(a, b)
  local below_a, below_b = a:sub(1, 1) == '-', b:sub(1, 1) == '-'
  if below_a ~= below_b then return below_a end
  if below_a then a, b = b:sub(2), a:sub(2) end
  if #a ~= #b then return #a < #b end
  return bytes_less(a, b)
end
-- With each call:
tag, arguments, taken, now, now_text = KEYS[1], ARGV, 1, tonumber(ARGV[1]), nil
if not now then local time = redis.call('TIME'); now = time[1] * 1000000 + time[2] end
-- At its end:
arguments = nil
