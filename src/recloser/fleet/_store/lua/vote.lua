-- Counts the vote of a worker that its own rule has opened; a quorum of votes opens the fleet.
local SPAN = math.max(OPEN, 1000000) -- with a very short reset timeout, a quorum could never form
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
  save_for(SPAN)
end
return reply(DONE)
