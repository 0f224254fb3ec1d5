-- Takes the result of the probe that holds the current token.
local TOKEN, RESULT, NEEDED = tonumber(ARGV[FIRST]), ARGV[FIRST + 1], tonumber(ARGV[FIRST + 2])
local OPEN, MULTIPLIER = tonumber(ARGV[FIRST + 3]), tonumber(ARGV[FIRST + 4])

-- A lease that has ended and is not stored may have had its result: it gets no second one.
if unsaved or shared.state ~= 'half_open' or shared.generation ~= TOKEN then
  return reply(REFUSED)
end
if RESULT == 'fail' then
  local length = math.floor(math.min(MAX_OPEN, OPEN * MULTIPLIER ^ shared.trips))
  transition('open', now + length, shared.trips + 1, 0)
elseif RESULT == 'release' then
  transition('open', now, shared.trips, shared.passed)
elseif shared.passed + 1 < NEEDED then
  transition('half_open', now, shared.trips, shared.passed + 1) -- without a lease: any worker may run the next probe at once
else
  redis.call('UNLINK', EVIDENCE)
  transition('closed', 0, 0, 0)
end
return reply(DONE)
