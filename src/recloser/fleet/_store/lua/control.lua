-- Sets a state by hand, or resets to closed.
local ACTION, LENGTH, AUTHOR, REASON = ARGV[FIRST], tonumber(ARGV[FIRST + 1]), ARGV[FIRST + 2], ARGV[FIRST + 3]
redis.call('UNLINK', EVIDENCE)
transition(ACTION, LENGTH < 0 and 0 or now + LENGTH, 0, 0, AUTHOR, REASON)
return reply(DONE)
