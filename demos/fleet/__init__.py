"""`python -m demos.fleet`: worker processes that share a breaker through a private Redis, and an upstream that fails.

The upstream counts what reaches it, and from which worker. Each act of the play says what must come of it; the demo
prints what did, and fails if that is something else.
"""
