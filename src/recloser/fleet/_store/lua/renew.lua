-- Extends the lease of the probe that holds the current token.
if unsaved or shared.state ~= 'half_open' or shared.generation ~= tonumber(ARGV[FIRST]) then
  return reply(REFUSED)
end
shared.ends = now + LEASE
save()
return reply(DONE)
