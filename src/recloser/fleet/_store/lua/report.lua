-- Adds one worker's calls to the current bucket of a rule's window, and evaluates the rule on the sums.
local TAG, SEQUENCE = ARGV[FIRST], tonumber(ARGV[FIRST + 1])
local HITS, TOTAL = tonumber(ARGV[FIRST + 2]), tonumber(ARGV[FIRST + 3])
local WINDOW, BUCKETS = tonumber(ARGV[FIRST + 4]), tonumber(ARGV[FIRST + 5])
local MINIMUM, COUNT, RATE = tonumber(ARGV[FIRST + 6]), tonumber(ARGV[FIRST + 7]), tonumber(ARGV[FIRST + 8])
local MOST_SUM, MOST_FIELDS = 1000000000000, 20000

local current = math.floor(now / (WINDOW / BUCKETS))
local function bucket(index)
  return 'b:' .. TAG .. ':' .. digits(index)
end
local sender, workers = 's:' .. TAG .. ':' .. WORKER, 'q:' .. TAG

-- Returns the two numbers of a bucket (hits, total) or of a sender (sequence, instant), stored as "number number".
local function pair(text)
  local first, second = string.match(text, '^(%d+) (%d+)$')
  return first and whole(first, MOST_GENERATION), second and whole(second, MOST_GENERATION)
end

local fields = { sender, workers }
for index = current, current - BUCKETS + 1, -1 do
  fields[#fields + 1] = bucket(index)
end
local values = redis.pcall('HMGET', EVIDENCE, unpack(fields))
if values.err then
  return damaged()
end

if values[1] then
  local last, instant = pair(values[1])
  if not (last and instant) then
    return damaged()
  end
  if SEQUENCE <= last then
    return reply(DUPLICATE)
  end
end

local hits, total = HITS, TOTAL
for i = 3, #fields do
  if values[i] then
    local more_hits, more_total = pair(values[i])
    if not (more_hits and more_total) or more_hits > more_total or more_total > MOST_SUM then
      return damaged()
    end
    hits, total = hits + more_hits, total + more_total
    if i == 3 then
      HITS, TOTAL = HITS + more_hits, TOTAL + more_total
    end
  end
end
local failing = latest(values[2] or '', WINDOW, tonumber(ARGV[FIRST + 2]) > 0)
if not failing then
  return damaged()
end

if total >= MINIMUM and hits >= COUNT and hits / total >= RATE and #failing >= QUORUM then
  open()
  return reply(DONE)
end

-- Once per bucket: delete the buckets that have left the window, and the senders that are gone.
if not values[3] then
  if redis.call('HLEN', EVIDENCE) > MOST_FIELDS then
    return damaged()
  end
  local all = redis.call('HGETALL', EVIDENCE)
  for i = 1, #all, 2 do
    local kind, rest = string.sub(all[i], 1, 2), string.sub(all[i], 3)
    if string.sub(rest, 1, #TAG + 1) == TAG .. ':' then
      local index = kind == 'b:' and (whole(string.sub(rest, #TAG + 2), MOST_GENERATION) or math.huge)
      local _, instant = pair(all[i + 1])
      if index and (index <= current - BUCKETS or index > current)
        or kind == 's:' and not (instant and instant > now - 2 * WINDOW and instant <= now) then
        redis.call('HDEL', EVIDENCE, all[i])
      end
    end
  end
end
redis.call('HSET', EVIDENCE, sender, digits(SEQUENCE) .. ' ' .. digits(now), workers, table.concat(failing, ' '),
  bucket(current), digits(HITS) .. ' ' .. digits(TOTAL))
save_for(WINDOW)
return reply(DONE)
