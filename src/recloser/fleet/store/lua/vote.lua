-- One worker's own rule has opened it; with enough of them, the fleet opens.
local SPAN = math.max(OPEN, 1000000) -- with hardly any reset timeout, votes would never meet
local text = redis.pcall('HGET', EVIDENCE, 'votes')
if type(text) == 'table' then
  return damaged()
end
local voters = latest(text or '', SPAN, true)
if not voters then
  return damaged()
end
if #voters >= QUORUM then
  open()
else
  redis.call('HSET', EVIDENCE, 'votes', table.concat(voters, ' '))
  keep_for(SPAN)
end
return reply(DONE)
