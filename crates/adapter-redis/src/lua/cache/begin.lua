-- The right to compute an answer, to who comes first; 0, or the microseconds that another still has.
-- ARGV: present, window, fingerprint, lease, visibility
local key = tag .. ':f:' .. ARGV[3]
local flight = redis.call('GET', key)
if flight then
  local left = struct.unpack('>i8', flight) - now
  if left > 0 then return left end
end
local ends = math.min(now + ARGV[5], LAST)
redis.call('SET', key, struct.pack('>i8', ends) .. ARGV[4], 'PX', millis(ends))
return 0
