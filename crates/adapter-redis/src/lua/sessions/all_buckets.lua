-- Of every bucket at one instant: a single server has them all.
local head, all = tag:match('^(.*{s)%d+}$'), {}
for bucket = 0, 1023 do all[bucket + 1] = on(head .. bucket .. '}') end
return all
