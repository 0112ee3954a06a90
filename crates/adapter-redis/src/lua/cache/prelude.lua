-- Prepended to every script of the cache: its keys, and what the bytes under them mean.
-- tag:g    hash: g<tag digest> = a generation, k<fingerprint> = the tombstone of a key. One key on purpose: a server
--          that evicts takes all of it or nothing, and a namespace without its generation refuses every ticket.
-- tag:e:F  an answer: head of 41 bytes (form, version, modified, stored, fresh until, expires), then the body: length of
--          the value (4), number of generations (1), pairs of tag digest (32) and generation (16), the rest opaque
-- tag:x    fingerprints, tag:t tag digests: sorted sets in bytewise order, for scans and sweeps only
local held, answers, listed, tags, window, known
local FORM <const> = 1
local HEAD <const> = '>Bi8i8i8i8i8'
local PAIR <const> = 48
local MARK <const> = '>i8i8i8'
-- The end of the year 9999, beyond which nothing ends.
local LAST <const> = 253402300799999999
-- Enough of an answer to judge it: head, length, and the pairs of 34 tags.
local JUDGED <const> = 1678

-- As `next_cache_version`.
local function next_version(before)
  local floor = math.floor(now / 1000)
  if before and before + 1 > floor then return before + 1 end
  return floor
end

-- From now until `ends` in milliseconds, never less than it is.
local function millis(ends) return whole(math.ceil((ends - now) / 1000)) end

-- The server frees nothing of `key` before `ends`; a key that is not there stays away.
local function keep(key, ends)
  if redis.call('PTTL', key) < (ends - now) / 1000 then redis.call('PEXPIRE', key, millis(ends)) end
end

-- The same of all that lies beside the answers.
local function keep_all(ends)
  keep(held, ends)
  keep(listed, ends)
  keep(tags, ends)
end

-- Calls `each(digest, generation)` for the pairs of an answer's body that begins at `from`.
local function pairs_of(text, from, each)
  for place = 1, string.byte(text, from + 4) do
    local at = from + 5 + (place - 1) * PAIR
    if not each(string.sub(text, at, at + 31), string.sub(text, at + 32, at + 47)) then return false end
  end
  return true
end

-- The current generation of a tag: 16 bytes, or false.
local function generation(digest)
  if known[digest] == nil then
    local value = redis.call('HGET', held, 'g' .. digest)
    known[digest] = value and string.sub(value, 25, 40)
  end
  return known[digest]
end

-- Whether an answer, as far as `JUDGED` bytes of it, can be served.
local function servable(text)
  if #text < 46 or struct.unpack('>i8', text, 34) <= now then return false end
  return pairs_of(text, 42, function(digest, mine) return generation(digest) == mine end)
end

local function judged(fingerprint)
  return redis.call('GETRANGE', answers .. fingerprint, 0, JUDGED - 1)
end

-- The tombstone of a key while it is remembered.
local function tombstone(value)
  return value and struct.unpack('>i8', value) > now and value
end
-- With each call:
held, answers, listed, tags, known = tag .. ':g', tag .. ':e:', tag .. ':x', tag .. ':t', {}
window = tonumber(ARGV[2])
-- At its end:
known = nil
