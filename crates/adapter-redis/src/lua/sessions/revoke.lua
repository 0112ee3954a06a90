-- Ends a live session of an owner, or all of them but one.
local owner, one, except = take(), take(), take()
local ids = one ~= '' and { one } or redis.call('ZRANGE', tag .. ':u:' .. owner, 0, -1)
local revoked = 0
for _, id in ipairs(ids) do
  local ref = owner .. ':' .. id
  if id ~= except and is_live(ref) then
    revoke(ref)
    revoked = revoked + 1
  end
end
if revoked > 0 then push_effects() end
return revoked
