-- The first write under a tag presents the stamp of its announcement. Whoever needs one and has none asks for it.
local stamp = take()
local is_registered = redis.call('EXISTS', tag .. ':b') == 1
if not is_registered then
  if stamp == '' then return 'ANNOUNCE' end
  check_stamp(tonumber(stamp))
end
