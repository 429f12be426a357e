-- Every change of a hold, and of the mirror of sellable stock, happens in this one script, of which this is the first part: what all
-- operations share, and how a hold ends. holds-place.lua gives holds, holds-rebuild.lua counts a lost store again.
-- All keys carry the cell's hash tag, so the script runs on one shard and is atomic.
--
-- KEYS  1 generation (hash: id, epoch, runId)   2 sellable (hash: sku -> units)   3 version (hash: sku -> version)
--       4 reserved (hash: sku -> units)         5 expiry (zset: hold id by ms)    6 rebuild (hash: owner, token, runId, cursor)
--       7 epoch (string: newest epoch seen)     8 prefix of the hold keys (string: what packOpen says, or how the hold ended)
--       9 rate (hash: sku -> holds asked for in this second; which second that is has a name that no SKU has)
--      10 trail (list of "id lines": holds that expired lately, until somebody takes them)
-- ARGV  1 operation, 2 the caller's epoch, then what the operation takes. Every answer starts with a word.
--
-- Time is the store's clock only. A missing generation means that the store was lost: every operation that would
-- give a right fails closed, until a rebuild writes that key last.

local GENERATION, SELLABLE, VERSION, RESERVED, EXPIRY, REBUILD, EPOCH, HOLD, RATE, TRAIL =
  KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[8], KEYS[9], KEYS[10]
local RATE_SECOND = " second"
local PIECE = 1000
local TRAIL_LENGTH = 20000
local TOMBSTONE_MS = 5 * 60 * 1000
local SWEEP_ON_PLACE = 20

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

-- Calls visit(from, to) for pieces of a list that a command can take as arguments.
local function inPieces(count, visit)
  for from = 1, count, PIECE do
    visit(from, math.min(count, from + PIECE - 1))
  end
end

-- Fields of a hash by their names; false where there is none.
local function fieldsOf(key, names)
  local found = {}
  inPieces(#names, function(from, to)
    for i, value in ipairs(redis.call("HMGET", key, unpack(names, from, to))) do
      found[names[from + i - 1]] = value
    end
  end)
  return found
end

local function setFields(key, names, values)
  inPieces(#names, function(from, to)
    local fields = {}
    for i = from, to do
      fields[#fields + 1], fields[#fields + 2] = names[i], values[names[i]]
    end
    redis.call("HSET", key, unpack(fields))
  end)
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

-- One line for each fact: a hold is one string, because a hash of them costs several times as much to write.
local function packOpen(key, claim, expiresAt, createdAt, extended, lines)
  return "open\n" .. key .. "\n" .. claim .. "\n" .. expiresAt .. "\n" .. createdAt .. "\n" .. extended .. "\n" .. lines
end

-- What packOpen wrote; of a hold that has ended only the state, of one that is not known nothing.
local function unpackHold(value)
  if not value then
    return nil
  end
  local key, claim, expiresAt, createdAt, extended, lines =
    string.match(value, "^open\n([^\n]*)\n([^\n]*)\n(%d+)\n(%d+)\n([01])\n(.*)$")
  if not key then
    return { state = value }
  end
  return { state = "open", key = key, claim = claim, expiresAt = tonumber(expiresAt), createdAt = tonumber(createdAt),
    extended = extended, lines = lines }
end

local function readHold(id)
  return unpackHold(redis.call("GET", HOLD .. id))
end

-- Gives the units of open holds back and takes their ids out of the expiry index; an id that is named twice counts once. Of each its
-- lines as they were written, which are empty where it was not open.
local function giveBack(ids)
  local units, lines, seen = {}, {}, {}
  inPieces(#ids, function(from, to)
    local keys = {}
    for i = from, to do
      keys[#keys + 1] = HOLD .. ids[i]
    end
    for i, value in ipairs(redis.call("MGET", unpack(keys))) do
      local id = ids[from + i - 1]
      local hold = not seen[id] and unpackHold(value)
      seen[id] = true
      lines[from + i - 1] = hold and hold.lines or ""
      for sku, count in pairs(linesOf(hold and hold.lines)) do
        units[sku] = (units[sku] or 0) + count
      end
    end
    redis.call("ZREM", EXPIRY, unpack(ids, from, to))
  end)
  for sku, count in pairs(units) do
    reserve(sku, -count)
  end
  return lines
end

-- A hold that has ended stays known for a while, so that a request that was delayed on its way cannot open it again.
local function close(ids, state)
  local lines = giveBack(ids)
  for _, id in ipairs(ids) do
    redis.call("SET", HOLD .. id, state, "PX", TOMBSTONE_MS)
  end
  return lines
end

local function expire(ids)
  local lines = giveBack(ids)
  inPieces(#ids, function(from, to)
    local trail, keys = {}, {}
    for i = from, to do
      trail[#trail + 1], keys[#keys + 1] = ids[i] .. " " .. lines[i], HOLD .. ids[i]
    end
    redis.call("RPUSH", TRAIL, unpack(trail))
    redis.call("DEL", unpack(keys))
  end)
  redis.call("LTRIM", TRAIL, -TRAIL_LENGTH, -1)
end

local function sweep(limit)
  local due = redis.call("ZRANGEBYSCORE", EXPIRY, "-inf", now, "LIMIT", 0, limit)
  if #due > 0 then
    expire(due)
    redis.call("HINCRBY", GENERATION, "expired", #due)
  end
  return #due
end

-- release id : OK released|gone lines | CLOSED closed | NOGEN | FENCED
local function release()
  local why = refusal()
  if why then
    return { why }
  end
  local id = ARGV[3]
  local hold = readHold(id)
  if hold and hold.state == "closed" then
    return { "CLOSED", hold.state }
  end
  local lines = close({ id }, "released")
  return { "OK", hold and hold.state == "open" and "released" or "gone", lines[1] }
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
    local ids = {}
    for i = 4, 3 + holdCount do
      ids[#ids + 1] = ARGV[i]
    end
    close(ids, "closed")
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
