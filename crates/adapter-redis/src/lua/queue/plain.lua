-- A plain command (at once, alone, for ever, under no key of its own, never interrupted) has three texts in its life: stored,
-- leased once, completed. Their fields have fixed places, so that each is made of the one before without taking it apart. To
-- everybody else they are packed lists as all others; what is packed anew loses the mark.
local MARK <const> = '\221\0\0\0\23'
-- The mark and the version of each of the three.
local STORED <const> = '\221\0\0\0\23\207\0\0\0\0\0\0\0\1'
local HELD <const> = '\221\0\0\0\23\207\0\0\0\0\0\0\0\2'
local DONE <const> = '\221\0\0\0\23\207\0\0\0\0\0\0\0\3'
-- The places of what is read and of what is kept: the stage, from the sequence to the deadline, when it was ready, the end
-- of its lease, how long its result is kept.
local STAGE_AT <const> = 24
local KEPT_FROM <const> = 25
local KEPT_TO <const> = 92
local READY_FROM <const> = 94
local READY_TO <const> = 102
local UNTIL_AT <const> = 104
local RESULT_TTL_AT <const> = 75
-- Nothing, as it is packed; and what stands behind a lease: not settled, then four times nothing.
local NOTHING <const> = '\194'
local OPEN <const> = '\161o\194\194\194\194'
local pack_bytes, unpack_bytes
local function number(n) return '\207' .. pack_bytes('>I8', n) end
-- The present, packed, which stands in each text several times.
local packed_now
local function packed_present()
    packed_now = packed_now or number(now)
    return packed_now
end
local function plain_stage(packed)
    return packed and string.sub(packed, 1, 5) == MARK and string.byte(packed, STAGE_AT)
end
-- The text of one that is stored now; `fields` are those from the priority to the result's time, as they came.
local function stored(sequence, fields)
    local at = packed_present()
    return STORED .. at .. '\0' .. number(sequence) .. fields .. at .. '\194\0' .. at .. '\194\194\194' .. OPEN
end
-- What stands between a plain command and the secret of its first lease.
local function plain_lease(until_at, worker)
    return number(until_at) .. '\218' .. pack_bytes('>I2', #worker) .. worker .. '\1781:'
end
-- The text of one that is leased, made of its stored one.
local function held_by(text, lease_head, secret)
    return HELD .. packed_present() .. '\3' .. string.sub(text, KEPT_FROM, KEPT_TO) .. '\1'
        .. string.sub(text, READY_FROM, READY_TO) .. lease_head .. secret .. OPEN
end
-- The text of one that is completed, made of its leased one.
local function completed(text, lease)
    local at = packed_present()
    return DONE .. at .. '\4' .. string.sub(text, KEPT_FROM, READY_TO) .. '\194\194\178' .. lease .. '\161a\194\194' .. at .. NOTHING
end
-- Whether the lease of a plain command is this one and current.
local function plain_current(text, lease)
    return string.sub(text, -24, -7) == lease and unpack_bytes('>I8', text, UNTIL_AT) > now
end
local function result_end(text) return whole(now + unpack_bytes('>I8', text, RESULT_TTL_AT)) end
-- With each call:
pack_bytes, unpack_bytes, packed_now = struct.pack, struct.unpack, nil
