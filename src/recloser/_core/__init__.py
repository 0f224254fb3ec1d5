"""The pure state machine: synchronous, standard library only, no clock, no I/O, no logging, no event loop."""
