-- Reads: all there is to do is the prologue's.
return reply(DONE)
