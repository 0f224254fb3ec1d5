-- The part that the scripts with evidence share; it follows the prologue.

local WORKER, CLOSED_GENERATION = ARGV[FIRST], tonumber(ARGV[FIRST + 1])
local QUORUM, OPEN = tonumber(ARGV[FIRST + 2]), tonumber(ARGV[FIRST + 3])
local MOST_LIST = 6000
FIRST = FIRST + 4

local function damaged()
  redis.call('UNLINK', EVIDENCE)
  return reply(DAMAGED, 'the evidence held impossible values; dropped')
end

-- The latest distinct workers with evidence within `span`, newest first and at most QUORUM of them: if the last of these
-- is recent enough, all are. They are stored as "worker instant worker instant ..."; nil if the text has another form.
local function latest(text, span, with_worker)
  if #text > MOST_LIST then
    return nil
  end
  local list, rebuilt, seen = {}, {}, {}
  if with_worker then
    list[1] = WORKER .. ' ' .. digits(now)
  end
  for worker, instant in string.gmatch(text, '([%w_-]+) (%d+)') do
    local at, entry = whole(instant, MOST_GENERATION), worker .. ' ' .. instant
    if not at or seen[worker] then
      return nil
    end
    seen[worker] = true
    rebuilt[#rebuilt + 1] = entry
    local recent = at > now - span and at <= now
    if recent and #list < QUORUM and not (with_worker and worker == WORKER) then
      list[#list + 1] = entry
    end
  end
  if table.concat(rebuilt, ' ') ~= text then
    return nil
  end
  return list
end

local function save_for(span)
  local milliseconds = math.ceil(2 * span / 1000)
  if redis.call('PTTL', EVIDENCE) < milliseconds then
    redis.call('PEXPIRE', EVIDENCE, digits(milliseconds))
  end
end

local function open()
  redis.call('UNLINK', EVIDENCE)
  transition('open', now + math.min(OPEN, MAX_OPEN), 1, 0)
end

if shared.state ~= 'closed' or shared.generation ~= CLOSED_GENERATION then
  return reply(REFUSED)
end
