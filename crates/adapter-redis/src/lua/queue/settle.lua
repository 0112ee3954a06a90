-- A step of what those who count and list do first: settles up to so many that are due, and says how many.
local count = settle_due(take_number())
tell()
return count
