-- Stores answers whose ticket holds, each decided and written as one: `rules::ticket_holds`.
-- ARGV: present, window, then of each answer: fingerprint, time to live, stale time, issued at, key's generation, body
local outcomes = {}
for at = 3, #ARGV, 6 do
  local fingerprint, issued, key, body = ARGV[at], tonumber(ARGV[at + 3]), ARGV[at + 4], ARGV[at + 5]
  local fields, mine = {'k' .. fingerprint}, {}
  pairs_of(body, 1, function(digest, generation)
    fields[#fields + 1] = 'g' .. digest
    mine[#mine + 1] = generation
    return true
  end)
  local values = redis.call('HMGET', held, unpack(fields))
  local tomb = tombstone(values[1])
  local holds = now - issued < window and #mine > 0 and (not tomb or string.sub(tomb, 25, 40) == key)
  for place, generation in ipairs(mine) do
    local value = values[place + 1]
    holds = holds and value and string.sub(value, 25, 40) == generation
  end
  if holds then
    local before = redis.call('GETRANGE', answers .. fingerprint, 1, 8)
    local version = before ~= '' and struct.unpack('>i8', before) or nil
    if values[1] then
      local _, buried = struct.unpack(MARK, values[1])
      version = math.max(version or buried, buried)
    end
    version = next_version(version)
    local fresh = math.min(now + ARGV[at + 1], LAST)
    local expires = math.min(fresh + ARGV[at + 2], LAST)
    local head = struct.pack(HEAD, FORM, version, now, now, fresh, expires)
    redis.call('SET', answers .. fingerprint, head .. body, 'PX', millis(expires))
    -- A generation outlives its answers by the window, so that a ticket given with the last hit still holds.
    for place = 2, #fields do
      if struct.unpack('>i8', values[place]) < expires + window then
        local longer = expires + 2 * window
        redis.call('HSET', held, fields[place], struct.pack('>i8', longer) .. string.sub(values[place], 9))
        keep_all(longer)
      end
    end
    if redis.call('ZADD', listed, 0, fingerprint) == 1 then
      redis.call('PEXPIRE', listed, redis.call('PTTL', held))
      -- Two looks for each new name: what the server freed never makes up more than half of the list.
      for _, other in ipairs(redis.call('ZRANDMEMBER', listed, -2)) do
        if redis.call('EXISTS', answers .. other) == 0 then
          local buried = redis.call('HGET', held, 'k' .. other)
          if not tombstone(buried) then
            if buried then redis.call('HDEL', held, 'k' .. other) end
            redis.call('ZREM', listed, other)
          end
        end
      end
    end
  end
  outcomes[#outcomes + 1] = holds and 1 or 0
end
return outcomes
