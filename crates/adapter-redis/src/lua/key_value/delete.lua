-- Leaves tombstones in place of live entries: of all the names, or of one that still has the version expected.
local expected, count, removed = take(), take_number(), 0
for _ = 1, count do
  local name = take()
  local before = held(name)
  if before and before.live then
    if expected ~= '' and before.version ~= expected then return { removed, before.version } end
    put(name, before, nil, nil, true)
    removed = removed + 1
  end
end
return { removed, false }
