-- Renews what is current of a list: the end of each lease and its cancel mark, or nil.
local visibility, count = take_number(), take_number()
local ids, leases, answers = {}, {}, { now }
for i = 1, count do ids[i], leases[i] = take(), take() end
load_all(ids)
for i = 1, count do
    local id = ids[i]
    local c = current(id, leases[i])
    if c then
        c[UNTIL], c[VERSION], c[MODIFIED] = now + visibility, c[VERSION] + 1, now
        changed[id] = true
        file(':leased', id, c[UNTIL])
    end
    answers[i + 1] = c and (c[CANCEL] and 1 or 0)
end
flush()
return answers
