-- Every change of a hold, and of the mirror of sellable stock, happens in this one script.
-- All keys carry the cell's hash tag, so the script runs on one shard and is atomic.
--
-- KEYS  1 generation (hash: id, epoch, runId)   2 sellable (hash: sku -> units)   3 version (hash: sku -> version)
--       4 reserved (hash: sku -> units)         5 expiry (zset: hold id by ms)    6 rebuild (hash: owner, token, runId, cursor)
--       7 epoch (string: newest epoch seen)     8 prefix of the hold keys
--       9 rate (hash: sku -> holds asked for in this second; which second that is has a name that no SKU has)
--      10 trail (list of "id lines": holds that expired lately, until somebody takes them)
-- ARGV  1 operation, 2 the caller's epoch, then what the operation takes. Every answer starts with a word.
--
-- Time is the store's clock only. A missing generation means that the store was lost: every operation that would
-- give a right fails closed, until a rebuild writes that key last.

local GENERATION, SELLABLE, VERSION, RESERVED, EXPIRY, REBUILD, EPOCH, HOLD, RATE, TRAIL =
  KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[8], KEYS[9], KEYS[10]
local RATE_SECOND = " second"
local RATE_PIECE = 1000
local TRAIL_LENGTH = 20000
local TOMBSTONE_MS = 5 * 60 * 1000
local SWEEP_ON_PLACE = 20
local SWEEP_ON_SHORT = 200

local clock = redis.call("TIME")
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local epoch = tonumber(ARGV[2])

local function text(number)
  return string.format("%.0f", number)
end

-- "FENCED" for a caller that a newer epoch has replaced; "NOGEN" when there is nothing to trust yet.
local function refusal()
  local newest = tonumber(redis.call("GET", EPOCH) or "0")
  if epoch < newest then
    return "FENCED"
  end
  local generation = redis.call("HMGET", GENERATION, "id", "epoch")
  if not generation[1] or tonumber(generation[2]) ~= epoch then
    return "NOGEN"
  end
  return nil, generation[1]
end

local function reserve(sku, units)
  if units ~= 0 and redis.call("HINCRBY", RESERVED, sku, units) <= 0 then
    redis.call("HDEL", RESERVED, sku)
  end
end

local function linesOf(packed)
  local lines = {}
  if packed then
    for sku, units in string.gmatch(packed, "([^ ]+)=(%d+)") do
      lines[sku] = tonumber(units)
    end
  end
  return lines
end

-- Gives the units of an open hold back and takes it out of the expiry index; its lines, as they were written.
local function giveBack(id)
  local packed = redis.call("HGET", HOLD .. id, "lines")
  for sku, units in pairs(linesOf(packed)) do
    reserve(sku, -units)
  end
  redis.call("ZREM", EXPIRY, id)
  return packed or ""
end

-- A closed hold stays known for a while, so that a request that was delayed on its way cannot open it again.
local function close(id, state)
  local lines = redis.call("HGET", HOLD .. id, "state") == "open" and giveBack(id) or ""
  redis.call("DEL", HOLD .. id)
  redis.call("HSET", HOLD .. id, "state", state)
  redis.call("PEXPIRE", HOLD .. id, TOMBSTONE_MS)
  return lines
end

local function expire(id)
  redis.call("RPUSH", TRAIL, id .. " " .. giveBack(id))
  redis.call("LTRIM", TRAIL, -TRAIL_LENGTH, -1)
  redis.call("DEL", HOLD .. id)
end

local function sweep(limit)
  local due = redis.call("ZRANGEBYSCORE", EXPIRY, "-inf", now, "LIMIT", 0, limit)
  for _, id in ipairs(due) do
    expire(id)
  end
  if #due > 0 then
    redis.call("HINCRBY", GENERATION, "expired", #due)
  end
  return #due
end

-- Lines from ARGV[first] to ARGV[last], as sku, units, ...; two lines of one SKU are one demand.
local function readLines(first, last)
  local wanted, order = {}, {}
  for i = first, last, 2 do
    local sku = ARGV[i]
    if not wanted[sku] then
      order[#order + 1] = sku
    end
    wanted[sku] = (wanted[sku] or 0) + tonumber(ARGV[i + 1])
  end
  table.sort(order)
  return wanted, order
end

local function writeHold(id, key, owner, orderId, expiresAt, createdAt, wanted, order, extended)
  local packed = {}
  for _, sku in ipairs(order) do
    packed[#packed + 1] = sku .. "=" .. text(wanted[sku])
    reserve(sku, wanted[sku])
  end
  redis.call("DEL", HOLD .. id)
  redis.call("HSET", HOLD .. id, "state", "open", "key", key, "owner", owner, "order", orderId,
    "expiresAt", text(expiresAt), "createdAt", text(createdAt), "lines", table.concat(packed, " "))
  if extended then
    redis.call("HSET", HOLD .. id, "extended", "1")
  end
  redis.call("ZADD", EXPIRY, text(expiresAt), id)
end

local function shortages(wanted, order, own)
  local sellable = redis.call("HMGET", SELLABLE, unpack(order))
  local reserved = redis.call("HMGET", RESERVED, unpack(order))
  local short = {}
  for i, sku in ipairs(order) do
    local known = sellable[i]
    local available = (tonumber(known or "0")) - (tonumber(reserved[i] or "0") - (own[sku] or 0))
    if not known or available < wanted[sku] then
      short[#short + 1] = sku
      short[#short + 1] = text(wanted[sku])
      short[#short + 1] = known and text(available) or "unknown"
    end
  end
  return short
end

-- A hold that is known already, or for which too little is free: each read and written by itself.
-- A hold that is asked for again may end later than before once; after that its lines may change, its end may not.
-- OK expiresAt generation new|same|replaced | SHORT sku requested available ... | CLOSED state | FOREIGN | MORE | RATE sku
local function placeOne(at, last, maxLifeMs, generation, mayGiveBack, tooOften)
  local id, key, owner, orderId, ttlMs = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], tonumber(ARGV[at + 4])
  local found = redis.call("HMGET", HOLD .. id, "state", "key", "owner", "order", "expiresAt", "createdAt", "lines",
    "extended")
  local state = found[1]
  if state == "open" and tonumber(found[5]) <= now then
    expire(id)
    state = false
  end
  if state and state ~= "open" then
    return { "CLOSED", state }
  end
  if state and (found[3] ~= owner or found[4] ~= orderId) then
    return { "FOREIGN" }
  end
  if state and found[2] == key then
    return { "OK", found[5], generation, "same" }
  end
  local often = tooOften(at, last)
  if often then
    return { "RATE", often }
  end

  local wanted, order = readLines(at + 6, last)
  local own = state and linesOf(found[7]) or {}
  local short = shortages(wanted, order, own)
  if #short > 0 and mayGiveBack and sweep(SWEEP_ON_SHORT) > 0 then
    short = shortages(wanted, order, own)
  end
  if #short > 0 then
    if #redis.call("ZRANGEBYSCORE", EXPIRY, "-inf", now, "LIMIT", 0, 1) > 0 then
      return { "MORE" }
    end
    return { "SHORT", unpack(short) }
  end

  local createdAt = state and tonumber(found[6]) or now
  local expiresAt = math.max(now + 1, math.min(now + ttlMs, createdAt + maxLifeMs))
  local extended = state and found[8]
  if state then
    if expiresAt > tonumber(found[5]) then
      expiresAt = extended and tonumber(found[5]) or expiresAt
      extended = true
    end
    giveBack(id)
  end
  writeHold(id, key, owner, orderId, expiresAt, createdAt, wanted, order, extended)
  return { "OK", text(expiresAt), generation, state and "replaced" or "new" }
end

-- How often SKUs were asked for in this second: tooOften(first, last) names one of the lines there of which that is `limit` times
-- already, else counts them; writeRates() remembers the counts. Read and written once for a whole call.
local function rates(limit, starts)
  if limit == 0 then
    return function() end, function() end
  end
  local second, counts, skus, dirty = clock[1], {}, {}, false
  for i = 1, #starts - 1 do
    for line = starts[i] + 6, starts[i + 1] - 1, 2 do
      local sku = ARGV[line]
      if not counts[sku] then
        counts[sku] = 0
        skus[#skus + 1] = sku
      end
    end
  end
  if redis.call("HGET", RATE, RATE_SECOND) ~= second then
    redis.call("DEL", RATE)
    redis.call("HSET", RATE, RATE_SECOND, second)
    redis.call("PEXPIRE", RATE, 2000)
  else
    for from = 1, #skus, RATE_PIECE do
      local to = math.min(#skus, from + RATE_PIECE - 1)
      for i, count in ipairs(redis.call("HMGET", RATE, unpack(skus, from, to))) do
        counts[skus[from + i - 1]] = tonumber(count or "0")
      end
    end
  end

  local function tooOften(first, last)
    for line = first + 6, last, 2 do
      if counts[ARGV[line]] >= limit then
        return ARGV[line]
      end
    end
    for line = first + 6, last, 2 do
      counts[ARGV[line]] = counts[ARGV[line]] + 1
    end
    dirty = true
  end
  local function writeRates()
    for from = 1, dirty and #skus or 0, RATE_PIECE do
      local fields = {}
      for i = from, math.min(#skus, from + RATE_PIECE - 1) do
        fields[#fields + 1], fields[#fields + 2] = skus[i], counts[skus[i]]
      end
      redis.call("HSET", RATE, unpack(fields))
    end
  end
  return tooOften, writeRates
end

-- place maxLifeMs rateLimit (id key owner order ttlMs lineCount lines...)... : holds in the order in which they were asked for. Those that are
-- new and can be had, which are nearly all, are decided on a working copy, so that each SKU is read and changed once for all of
-- them. Anything else first writes that down and goes by itself. The lines of one hold name each SKU once.
-- OK generation answers... | NOGEN | FENCED. An answer is the time at which a new hold expires, or what placeOne says.
local function place()
  local why, generation = refusal()
  if why then
    return { why }
  end
  local maxLifeMs = tonumber(ARGV[3])
  sweep(SWEEP_ON_PLACE)
  local starts, keys = {}, {}
  local at = 5
  while ARGV[at] do
    starts[#starts + 1], keys[#keys + 1] = at, HOLD .. ARGV[at]
    at = at + 6 + 2 * tonumber(ARGV[at + 5])
  end
  starts[#starts + 1] = at
  local tooOften, writeRates = rates(tonumber(ARGV[4]), starts)
  local anyKnown = redis.call("EXISTS", unpack(keys)) > 0
  local nowText = text(now)
  local free, taken, placed, writes, expiries = {}, {}, {}, {}, {}

  local function freeOf(sku)
    free[sku] = free[sku] or tonumber(redis.call("HGET", SELLABLE, sku) or "-1")
      - tonumber(redis.call("HGET", RESERVED, sku) or "0")
    return free[sku]
  end
  local function writeDown()
    -- The counts go first: when there is no memory left, the first of these fails, and nothing has been written.
    for sku, units in pairs(taken) do
      reserve(sku, units)
    end
    for _, fields in ipairs(writes) do
      redis.call("HSET", unpack(fields))
    end
    if #expiries > 0 then
      redis.call("ZADD", EXPIRY, unpack(expiries))
    end
    free, taken, placed, writes, expiries = {}, {}, {}, {}, {}
  end

  local answers = { "OK", generation }
  local mayGiveBack = true
  for i, hold in ipairs(keys) do
    local first, last = starts[i], starts[i + 1] - 1
    local isPlain = not placed[hold] and not (anyKnown and redis.call("EXISTS", hold) == 1)
    for line = first + 6, last, 2 do
      isPlain = isPlain and freeOf(ARGV[line]) >= tonumber(ARGV[line + 1])
    end
    local often = isPlain and tooOften(first, last)
    if often then
      answers[i + 2] = { "RATE", often }
    elseif isPlain then
      local packed
      for line = first + 6, last, 2 do
        local sku, units = ARGV[line], tonumber(ARGV[line + 1])
        free[sku], taken[sku] = free[sku] - units, (taken[sku] or 0) + units
        packed = (packed and packed .. " " or "") .. sku .. "=" .. ARGV[line + 1]
      end
      local expiresAt = text(math.max(now + 1, now + math.min(tonumber(ARGV[first + 4]), maxLifeMs)))
      placed[hold] = true
      writes[#writes + 1] = { hold, "state", "open", "key", ARGV[first + 1], "owner", ARGV[first + 2], "order", ARGV[first + 3],
        "expiresAt", expiresAt, "createdAt", nowText, "lines", packed }
      expiries[#expiries + 1], expiries[#expiries + 2] = expiresAt, ARGV[first]
      answers[i + 2] = expiresAt
    else
      writeDown()
      anyKnown = true
      answers[i + 2] = placeOne(first, last, maxLifeMs, generation, mayGiveBack, tooOften)
      mayGiveBack = mayGiveBack and answers[i + 2][1] ~= "SHORT" and answers[i + 2][1] ~= "MORE"
    end
  end
  writeDown()
  writeRates()
  return answers
end

-- release id : OK released|gone lines | CLOSED closed | NOGEN | FENCED
local function release()
  local why = refusal()
  if why then
    return { why }
  end
  local id = ARGV[3]
  local state = redis.call("HGET", HOLD .. id, "state")
  if state == "closed" then
    return { "CLOSED", state }
  end
  local lines = close(id, "released")
  return { "OK", state == "open" and "released" or "gone", lines }
end

-- settle holdCount ids... (sku version sellable)... : after a commit; drops the holds and takes the newer mirror values
-- in one step, so that a unit is never counted twice nor forgotten. A mirror value is absolute at its version.
-- OK applied dropped(1|0) | FENCED
local function settle()
  local why = refusal()
  if why == "FENCED" then
    return { why }
  end
  local holdCount = tonumber(ARGV[3])
  local applied = 0
  for i = 4 + holdCount, #ARGV, 3 do
    local sku, version = ARGV[i], tonumber(ARGV[i + 1])
    if version > tonumber(redis.call("HGET", VERSION, sku) or "-1") then
      redis.call("HSET", VERSION, sku, ARGV[i + 1])
      redis.call("HSET", SELLABLE, sku, ARGV[i + 2])
      applied = applied + 1
    end
  end
  -- While a rebuild counts the holds, none may be dropped under it: the caller repeats that half.
  if not why then
    for i = 4, 3 + holdCount do
      close(ARGV[i], "closed")
    end
  end
  return { "OK", text(applied), why and "0" or "1" }
end

-- sweep limit : OK swept | NOGEN | FENCED
local function sweepOnce()
  local why = refusal()
  if why then
    return { why }
  end
  return { "OK", text(sweep(tonumber(ARGV[3]))) }
end

-- reserved skus... : OK units... | NOGEN | FENCED
local function reservedOf()
  local why = refusal()
  if why then
    return { why }
  end
  sweep(SWEEP_ON_PLACE)
  local units = redis.call("HMGET", RESERVED, unpack(ARGV, 3))
  for i = 1, #ARGV - 2 do
    units[i] = units[i] or "0"
  end
  return { "OK", unpack(units) }
end
