-- A token that has ended, where its session lives on.
local found = token(take())
if not (found and found.ends and found.ends <= now and is_live(found.ref)) then return false end
return { found.ends_text, shown(found.ref) }
