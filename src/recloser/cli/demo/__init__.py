"""`recloser demo`: the same load on one failing HTTP server, with a breaker and without.

The lane with the breaker has a fallback: rejected calls get an earlier answer from memory or a default.
Everything is measured where it happens. Callers count what they saw, the upstream counts the requests that it read from
its sockets, and the breaker reports its transitions. The summary and the picture are computed from these records.
"""
