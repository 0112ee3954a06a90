-- The first write under a tag presents the stamp of its announcement. Whoever needs one and has none asks for it.
local stamp = take()
if redis.call('EXISTS', tag .. ':b') == 0 then
  if stamp == '' then return 'ANNOUNCE' end
  check_stamp(tonumber(stamp))
end
