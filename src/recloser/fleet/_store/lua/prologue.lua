-- The beginning of every script: it defines the functions that the scripts use, reads the clock and the record, and
-- adopts what the caller knows. `KEYS[1]` is the record, `KEYS[2]` the evidence for opening. The rules are in
-- `store/__init__.py`. `store/reference.py` does the same in Python, and a test runs both side by side.

local REFUSED, DONE, DUPLICATE, TOO_LATE, DAMAGED, IMPLAUSIBLE = 0, 1, 2, 3, 4, 5
local VERSION = '1'
local DAY = 24 * 3600 * 1000000
local LINGER_MS = 60000
local MOST_DURATION = 10 * 366 * DAY
local MOST_GENERATION = 9007199254740990
local MOST_TRIPS, MOST_CALLS, MOST_TEXT = 1000, 1000000000, 2400

local RECORD, EVIDENCE = KEYS[1], KEYS[2]
local CHANNEL, NAME = ARGV[1], ARGV[2]
local MAX_OPEN, LEASE, NOT_AFTER = tonumber(ARGV[10]), tonumber(ARGV[11]), tonumber(ARGV[12])
local FIRST = 13 -- where a script's own arguments begin

local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]

-- Formats an integer; Lua by itself writes large ones as 1.7e+15.
local function digits(number)
  return string.format('%.0f', number)
end

-- Returns a stored integer; nil if the text is no integer, or larger than `most`.
local function whole(text, most)
  if not text or #text > 16 or not string.find(text, '^%d+$') or tonumber(text) > most then
    return nil
  end
  return tonumber(text)
end

-- Returns a stored text if it is encoded as in messages, else nil.
local function encoded(text)
  if not text or #text > MOST_TEXT or string.find(text, '[^%w%%._~-]') then
    return nil
  end
  return text
end

-- ends: 0 means "no end" in a manual state, and "ended" in all others.
local shared = { state = 'closed', generation = 0, ends = 0, trips = 0, passed = 0, author = '', reason = '' }

local function manual(state)
  return state == 'forced_open' or state == 'disabled'
end

-- Returns the microseconds until the state ends; -1 for never.
local function remaining(of)
  if of.state == 'closed' then
    return 0
  end
  if manual(of.state) and of.ends == 0 then
    return -1
  end
  return math.max(0, of.ends - now)
end

local function reply(code, problem)
  return {
    code, shared.state, digits(shared.generation), digits(remaining(shared)), shared.trips, shared.passed,
    shared.author, shared.reason, digits(now), problem or '',
  }
end

-- Writes the record, which expires some time after its state has ended.
local function save()
  redis.call('HSET', RECORD, 'v', VERSION, 'state', shared.state, 'generation', digits(shared.generation),
    'ends', digits(shared.ends), 'trips', digits(shared.trips), 'passed', digits(shared.passed),
    'author', shared.author, 'reason', shared.reason)
  local left = remaining(shared)
  if left < 0 then
    redis.call('PERSIST', RECORD)
  else
    redis.call('PEXPIRE', RECORD, digits(math.ceil(left / 1000) + LINGER_MS))
  end
end

local function publish()
  redis.call('PUBLISH', CHANNEL, table.concat({
    'v1', NAME, digits(shared.generation), shared.state, digits(remaining(shared)), digits(shared.trips),
    digits(shared.passed), shared.author, shared.reason,
  }, '|'))
end

-- Enters a state, always in a new generation. Nothing else changes the state.
local function transition(state, ends, trips, passed, author, reason)
  shared = {
    state = state, generation = math.max(shared.generation, now) + 1, ends = ends, trips = math.min(trips, MOST_TRIPS),
    passed = math.min(passed, MOST_CALLS), author = author or '', reason = reason or '',
  }
  save()
  publish()
end

local function longest(state)
  if state == 'open' then
    return MAX_OPEN
  end
  return state == 'half_open' and LEASE or MOST_DURATION
end

local STATES = { closed = true, open = true, half_open = true, forced_open = true, disabled = true }

-- What the caller knows.
local known = {
  state = ARGV[4], generation = tonumber(ARGV[3]), ends = 0, trips = tonumber(ARGV[6]), passed = tonumber(ARGV[7]),
  author = ARGV[8], reason = ARGV[9],
}
local known_remaining = math.min(tonumber(ARGV[5]), longest(known.state)) -- -1: no end
if known.state ~= 'closed' and known_remaining >= 0 then
  known.ends = now + known_remaining
end

-- What is stored. If there is a problem with it, the script ends here and replies with what the caller knows.
local stored = false
local raw = redis.pcall('HMGET', RECORD, 'v', 'state', 'generation', 'ends', 'trips', 'passed', 'author', 'reason')
if raw.err then
  redis.call('UNLINK', RECORD)
  shared = known
  return reply(DAMAGED, 'the record was of another type than a hash; dropped')
end
if raw[1] and raw[1] ~= VERSION then
  shared = known
  return reply(DAMAGED, 'the record is of another protocol version; left alone')
end
for i = 1, 8 do
  stored = stored or raw[i]
end
if stored then
  shared = {
    state = STATES[raw[2]] and raw[2], generation = whole(raw[3], math.min(now + DAY, MOST_GENERATION)),
    ends = whole(raw[4], MOST_GENERATION), trips = whole(raw[5], MOST_TRIPS), passed = whole(raw[6], MOST_CALLS),
    author = encoded(raw[7]), reason = encoded(raw[8]),
  }
  if not (raw[1] and shared.state and shared.generation and shared.ends and shared.trips and shared.passed
      and shared.author and shared.reason) then
    redis.call('UNLINK', RECORD)
    shared = known
    return reply(DAMAGED, 'the record held impossible values; dropped')
  end
  if shared.state ~= 'closed' and shared.ends - now > longest(shared.state) then
    shared.ends = now + longest(shared.state) -- the clock has stepped back, or another policy applied
    save()
  end
end

if known.generation > now + DAY then
  return reply(IMPLAUSIBLE)
end
local unsaved = false -- whether the state has ended, and only the caller knows it
if known.generation > shared.generation then
  shared = known
  if remaining(known) ~= 0 or (stored and known.state == 'closed') then
    save()
    publish()
  else
    unsaved = true
  end
end
if shared.state == 'disabled' and remaining(shared) == 0 then
  transition('closed', 0, 0, 0)
end
if NOT_AFTER > 0 and now > NOT_AFTER then
  return reply(TOO_LATE)
end
