-- Gives the right back: compared and deleted as one.
-- ARGV: present, window, fingerprint, lease
local key = tag .. ':f:' .. ARGV[3]
local flight = redis.call('GET', key)
if flight and struct.unpack('>i8', flight) > now and string.sub(flight, 9) == ARGV[4] then
  return redis.call('UNLINK', key)
end
return 0
