-- Frees a bounded number of sessions past their retention.
local freed, hints = free(take_number())
return { freed, hints }
