-- The last part of the script: how a lost store is counted again, and all that the script can do.

-- status : OK generation|"" runId|"" openHolds expiredHolds newestEpoch everExpired
local function status()
  local generation = redis.call("HMGET", GENERATION, "id", "runId", "epoch")
  local mine = tonumber(generation[3] or "-1") == epoch
  return { "OK", mine and generation[1] or "", mine and generation[2] or "", text(redis.call("ZCARD", EXPIRY)),
    text(redis.call("ZCOUNT", EXPIRY, "-inf", now)), redis.call("GET", EPOCH) or "0",
    redis.call("HGET", GENERATION, "expired") or "0" }
end

-- begin owner token lockMs runId seenGeneration : OK | DONE | BUSY | FENCED. DONE: somebody has rebuilt the store since the caller looked.
-- What an owner began earlier, or before the server was restarted, has come to nothing and holds up nobody.
local function begin()
  local newest = tonumber(redis.call("GET", EPOCH) or "0")
  if epoch < newest then
    return { "FENCED" }
  end
  local generation = redis.call("HMGET", GENERATION, "id", "epoch")
  local present = tonumber(generation[2] or "-1") == epoch and generation[1] or ""
  if present ~= ARGV[7] then
    return { "DONE" }
  end
  local holder = redis.call("HMGET", REBUILD, "owner", "runId")
  if holder[1] and holder[1] ~= ARGV[3] and holder[2] == ARGV[6] then
    return { "BUSY" }
  end
  redis.call("HSET", REBUILD, "owner", ARGV[3], "token", ARGV[4], "runId", ARGV[6], "cursor", "0")
  redis.call("PEXPIRE", REBUILD, ARGV[5])
  redis.call("DEL", GENERATION, RESERVED)
  if epoch > newest then
    -- A new epoch may stand on a restored ledger, whose versions started again lower.
    redis.call("DEL", SELLABLE, VERSION)
    redis.call("SET", EPOCH, ARGV[2])
  end
  return { "OK" }
end

local function rebuilding()
  return epoch == tonumber(redis.call("GET", EPOCH) or "0") and redis.call("HGET", REBUILD, "token") == ARGV[3]
end

-- recount token lockMs from count : OK next|-1 | LOST. Counts the surviving holds again, one page at a time. A page that
-- is asked for twice (its answer was lost on the way) is counted once.
local function recount()
  if not rebuilding() then
    return { "LOST" }
  end
  redis.call("PEXPIRE", REBUILD, ARGV[4])
  local cursor = redis.call("HGET", REBUILD, "cursor")
  if cursor ~= ARGV[5] then
    return { "OK", cursor }
  end
  local from, count = tonumber(ARGV[5]), tonumber(ARGV[6])
  local ids = redis.call("ZRANGE", EXPIRY, from, from + count - 1)
  local gone = 0
  for _, id in ipairs(ids) do
    local hold = readHold(id)
    if hold and hold.state == "open" then
      for sku, units in pairs(linesOf(hold.lines)) do
        reserve(sku, units)
      end
    else
      redis.call("ZREM", EXPIRY, id)
      gone = gone + 1
    end
  end
  local next = #ids < count and "-1" or text(from + count - gone)
  redis.call("HSET", REBUILD, "cursor", next)
  return { "OK", next }
end

-- finish token generation runId : OK | LOST
local function finish()
  if not rebuilding() then
    return { "LOST" }
  end
  redis.call("HSET", GENERATION, "id", ARGV[4], "epoch", ARGV[2], "runId", ARGV[5])
  redis.call("DEL", REBUILD)
  return { "OK" }
end

-- import token extended(1|0) hold : a right (in JSON, as for place) that SQL has given already, so nothing is checked.
-- OK imported|known|closed | NOGEN | FENCED
local function import()
  local why = refusal()
  local token = ARGV[3]
  if why == "FENCED" or (why and (token == "" or redis.call("HGET", REBUILD, "token") ~= token)) then
    return { why }
  end
  local hold = cjson.decode(ARGV[5])
  local known = readHold(hold[ID])
  if known then
    return { "OK", known.state == "open" and "known" or "closed" }
  end
  writeHold(hold, now + hold[TTL], now, ARGV[4])
  return { "OK", "imported" }
end

-- mirror skus... : OK (version sellable)... , both empty for a SKU that is not mirrored | FENCED
local function mirrorOf()
  if epoch < tonumber(redis.call("GET", EPOCH) or "0") then
    return { "FENCED" }
  end
  local answer = { "OK" }
  local versions = redis.call("HMGET", VERSION, unpack(ARGV, 3))
  local sellable = redis.call("HMGET", SELLABLE, unpack(ARGV, 3))
  for i = 1, #ARGV - 2 do
    answer[#answer + 1] = versions[i] or ""
    answer[#answer + 1] = sellable[i] or ""
  end
  return answer
end

-- audit repair(1|0) limit : what is counted as held against the sum of the open holds; with `repair` the sum becomes the count.
-- More holds than `limit` would block the store for too long: then the answer is MANY, and nothing is compared.
-- OK (sku counted summed)... | MANY | NOGEN | FENCED
local function audit()
  local why = refusal()
  if why then
    return { why }
  end
  if redis.call("ZCARD", EXPIRY) > tonumber(ARGV[4]) then
    return { "MANY" }
  end
  local summed, answer = {}, { "OK" }
  for _, id in ipairs(redis.call("ZRANGE", EXPIRY, 0, -1)) do
    local hold = readHold(id)
    for sku, units in pairs(linesOf(hold and hold.lines)) do
      summed[sku] = (summed[sku] or 0) + units
    end
  end
  local function compare(sku, counted)
    local sum = summed[sku] or 0
    summed[sku] = nil
    if counted == sum then
      return
    end
    answer[#answer + 1], answer[#answer + 2], answer[#answer + 3] = sku, text(counted), text(sum)
    if ARGV[3] == "1" then
      reserve(sku, sum - counted)
    end
  end
  local counts = redis.call("HGETALL", RESERVED)
  for i = 1, #counts, 2 do
    compare(counts[i], tonumber(counts[i + 1]))
  end
  local uncounted = {}
  for sku in pairs(summed) do
    uncounted[#uncounted + 1] = sku
  end
  for _, sku in ipairs(uncounted) do
    compare(sku, 0)
  end
  return answer
end

local operations = {
  place = place, import = import, release = release, settle = settle, sweep = sweepOnce, reserved = reservedOf,
  status = status, begin = begin, recount = recount, finish = finish, mirror = mirrorOf, audit = audit,
}
return operations[ARGV[1]]()
