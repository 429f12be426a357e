-- The part of the script that gives holds; it is read after holds.lua. A hold that is asked for comes as a list: its id, the key of
-- the call, whose it is, for how long in milliseconds, and then each SKU once with its units.

local SWEEP_ON_SHORT = 200
local ID, KEY, CLAIM, TTL, LINES = 1, 2, 3, 4, 5

-- The lines of a hold as one text; their units are counted as held.
local function reserveLines(hold)
  local packed = {}
  for i = LINES, #hold, 2 do
    packed[#packed + 1] = hold[i] .. "=" .. text(hold[i + 1])
    reserve(hold[i], hold[i + 1])
  end
  return table.concat(packed, " ")
end

local function writeHold(hold, expiresAt, createdAt, extended)
  local packed = reserveLines(hold)
  redis.call("SET", HOLD .. hold[ID], packOpen(hold[KEY], hold[CLAIM], text(expiresAt), text(createdAt), extended, packed))
  redis.call("ZADD", EXPIRY, text(expiresAt), hold[ID])
end

local function skusOf(holds)
  local skus, seen = {}, {}
  for _, hold in ipairs(holds) do
    for i = LINES, #hold, 2 do
      if not seen[hold[i]] then
        seen[hold[i]], skus[#skus + 1] = true, hold[i]
      end
    end
  end
  return skus
end

-- Of each SKU of which too little is free what was asked for and what there is; `own` units do not count against it.
local function shortages(hold, own)
  local skus, short = skusOf({ hold }), {}
  local sellable, reserved = fieldsOf(SELLABLE, skus), fieldsOf(RESERVED, skus)
  for i = LINES, #hold, 2 do
    local sku, wanted = hold[i], hold[i + 1]
    local known = sellable[sku]
    local available = (tonumber(known or "0")) - (tonumber(reserved[sku] or "0") - (own[sku] or 0))
    if not known or available < wanted then
      short[#short + 1] = sku
      short[#short + 1] = text(wanted)
      short[#short + 1] = known and text(available) or "unknown"
    end
  end
  return short
end

-- A hold that is known already, or for which too little is free: each read and written by itself.
-- A hold that is asked for again may end later than before once; after that its lines may change, its end may not.
-- OK expiresAt generation new|same|replaced | SHORT sku requested available ... | CLOSED state | FOREIGN | MORE | RATE sku
local function placeOne(hold, maxLifeMs, generation, mayGiveBack, tooOften)
  local id = hold[ID]
  local found = readHold(id)
  if found and found.state == "open" and found.expiresAt <= now then
    expire({ id })
    found = nil
  end
  if found and found.state ~= "open" then
    return { "CLOSED", found.state }
  end
  if found and found.claim ~= hold[CLAIM] then
    return { "FOREIGN" }
  end
  if found and found.key == hold[KEY] then
    return { "OK", text(found.expiresAt), generation, "same" }
  end
  local often = tooOften(hold)
  if often then
    return { "RATE", often }
  end

  local own = linesOf(found and found.lines)
  local short = shortages(hold, own)
  if #short > 0 and mayGiveBack and sweep(SWEEP_ON_SHORT) > 0 then
    short = shortages(hold, own)
  end
  if #short > 0 then
    if #redis.call("ZRANGEBYSCORE", EXPIRY, "-inf", now, "LIMIT", 0, 1) > 0 then
      return { "MORE" }
    end
    return { "SHORT", unpack(short) }
  end

  local createdAt, extended = now, "0"
  local expiresAt = math.max(now + 1, math.min(now + hold[TTL], (found and found.createdAt or now) + maxLifeMs))
  if found then
    createdAt, extended = found.createdAt, found.extended
    if expiresAt > found.expiresAt then
      expiresAt = extended == "1" and found.expiresAt or expiresAt
      extended = "1"
    end
    giveBack({ id })
  end
  writeHold(hold, expiresAt, createdAt, extended)
  return { "OK", text(expiresAt), generation, found and "replaced" or "new" }
end

-- How often SKUs were asked for in this second: tooOften(hold) names one of its SKUs for which that is `limit` times
-- already, else counts them; writeRates() remembers the counts. Read and written once for a whole call.
local function rates(limit, skus)
  if limit == 0 then
    return function() end, function() end
  end
  local second, counts, dirty = clock[1], {}, false
  if redis.call("HGET", RATE, RATE_SECOND) == second then
    counts = fieldsOf(RATE, skus)
  else
    redis.call("DEL", RATE)
    redis.call("HSET", RATE, RATE_SECOND, second)
    redis.call("PEXPIRE", RATE, 2000)
  end
  for _, sku in ipairs(skus) do
    counts[sku] = tonumber(counts[sku] or "0")
  end

  local function tooOften(hold)
    for i = LINES, #hold, 2 do
      if counts[hold[i]] >= limit then
        return hold[i]
      end
    end
    for i = LINES, #hold, 2 do
      counts[hold[i]] = counts[hold[i]] + 1
    end
    dirty = true
  end
  local function writeRates()
    if dirty then
      setFields(RATE, skus, counts)
    end
  end
  return tooOften, writeRates
end

-- place maxLifeMs rateLimit holds : holds (in JSON) in the order in which they were asked for. Those that are
-- new and can be had, which are nearly all, are decided on a working copy, so that each SKU is read and changed once for all of
-- them. Anything else first writes that down and goes by itself.
-- OK generation answers (in JSON) | NOGEN | FENCED. An answer is the time at which a new hold expires, or what placeOne says.
local function place()
  local why, generation = refusal()
  if why then
    return { why }
  end
  local maxLifeMs, holds = tonumber(ARGV[3]), cjson.decode(ARGV[5])
  sweep(SWEEP_ON_PLACE)
  local keys, skus = {}, skusOf(holds)
  for i, hold in ipairs(holds) do
    keys[i] = HOLD .. hold[ID]
  end
  local tooOften, writeRates = rates(tonumber(ARGV[4]), skus)
  local anyKnown = redis.call("EXISTS", unpack(keys)) > 0
  local nowText, endings = text(now), {}
  local sellable, reserved = fieldsOf(SELLABLE, skus), fieldsOf(RESERVED, skus)
  local free, taken, takenSkus, placed, writes, expiries = {}, {}, {}, {}, {}, {}

  local function freeOf(sku)
    free[sku] = free[sku] or tonumber(sellable[sku] or "-1") - tonumber(reserved[sku] or "0")
    return free[sku]
  end
  local function writeDown()
    -- The counts go first: when there is no memory left, the first of these fails, and nothing has been written.
    for _, sku in ipairs(takenSkus) do
      reserved[sku] = text(tonumber(reserved[sku] or "0") + taken[sku])
    end
    setFields(RESERVED, takenSkus, reserved)
    if #expiries > 0 then
      redis.call("MSET", unpack(writes))
      redis.call("ZADD", EXPIRY, unpack(expiries))
    end
    taken, takenSkus, placed, writes, expiries = {}, {}, {}, {}, {}
  end

  local answers, mayGiveBack = {}, true
  for i, hold in ipairs(holds) do
    local key = keys[i]
    local isPlain = not placed[key] and not (anyKnown and redis.call("EXISTS", key) == 1)
    for line = LINES, #hold, 2 do
      isPlain = isPlain and freeOf(hold[line]) >= hold[line + 1]
    end
    local often = isPlain and tooOften(hold)
    if often then
      answers[i] = { "RATE", often }
    elseif isPlain then
      local packed
      for line = LINES, #hold, 2 do
        local sku, units = hold[line], hold[line + 1]
        if not taken[sku] then
          taken[sku], takenSkus[#takenSkus + 1] = 0, sku
        end
        free[sku], taken[sku] = free[sku] - units, taken[sku] + units
        packed = (packed and packed .. " " or "") .. sku .. "=" .. units
      end
      local ttl = hold[TTL]
      local expiresAt = endings[ttl] or text(math.max(now + 1, now + math.min(ttl, maxLifeMs)))
      endings[ttl], placed[key] = expiresAt, true
      writes[#writes + 1], writes[#writes + 2] = key, packOpen(hold[KEY], hold[CLAIM], expiresAt, nowText, "0", packed)
      expiries[#expiries + 1], expiries[#expiries + 2] = expiresAt, hold[ID]
      answers[i] = expiresAt
    else
      writeDown()
      anyKnown = true
      answers[i] = placeOne(hold, maxLifeMs, generation, mayGiveBack, tooOften)
      mayGiveBack = mayGiveBack and answers[i][1] ~= "SHORT" and answers[i][1] ~= "MORE"
      free, sellable, reserved = {}, fieldsOf(SELLABLE, skus), fieldsOf(RESERVED, skus)
    end
  end
  writeDown()
  writeRates()
  return { "OK", generation, cjson.encode(answers) }
end
