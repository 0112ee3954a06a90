-- What brings a queue into being names it in the list of queues first: an unlisted one answers nil, and the caller
-- lists it and calls again. So the list may name too much for a moment, never too little.
local naming = take() == '1'
local is_listed = call('HEXISTS', tag .. ':meta', 'listed') == 1
if naming and not is_listed then
    call('HSET', tag .. ':meta', 'listed', 1)
    is_listed = true
end
