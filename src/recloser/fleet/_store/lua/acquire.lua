-- Grants the lease of a probe to one caller, once the reset timeout or the last lease has ended. The new generation is
-- the token of the lease, and the author is its worker.
local WORKER = ARGV[FIRST]
local waiting = shared.state == 'open' or shared.state == 'half_open' or shared.state == 'forced_open'
if not waiting or remaining(shared) ~= 0 then
  return reply(REFUSED)
end
transition('half_open', now + LEASE, shared.trips, shared.passed, WORKER)
return reply(DONE)
