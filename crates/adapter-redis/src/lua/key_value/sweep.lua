-- Frees what no reader sees, and the bucket's own mark once nothing is left. Says how many, and whether the bucket is empty.
local freed = free(take_number())
if redis.call('EXISTS', tag .. ':n', tag .. ':d') > 0 then return { freed, 0 } end
redis.call('DEL', tag .. ':b')
return { freed, 1 }
