-- Reads the state, which the prologue has done.
return reply(DONE)
