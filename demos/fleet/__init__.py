"""`python -m demos.fleet`: worker processes that share a breaker through a private Redis, and an upstream that fails.

The upstream counts the requests of each worker. Each act of the play states what it expects; the demo prints what
happened, and fails if the two differ.
"""
