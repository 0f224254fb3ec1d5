"""The pure state machine: synchronous and standard library only, without a clock, I/O, logging or an event loop."""
