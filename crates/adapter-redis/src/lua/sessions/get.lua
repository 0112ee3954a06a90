-- Live sessions by their address, in the order asked.
local found = {}
for i = 1, take_number() do
  local ref = take()
  found[i] = is_live(ref) and shown(ref) or false
end
return found
