-- Grants the probe to one caller, once what was before is over. The new generation is the token of its lease, and
-- the author says whose it is.
local WORKER = ARGV[FIRST]
local waiting = shared.state == 'open' or shared.state == 'half_open' or shared.state == 'forced_open'
if not waiting or remaining(shared) ~= 0 then
  return reply(REFUSED)
end
transition('half_open', now + LEASE, shared.trips, shared.passed, WORKER)
return reply(DONE)
