"""The stores of a fleet, Redis and memory: operations, values, scripts and the reference in Python."""
