"""`recloser demo`: the same load on one failing HTTP server, with a breaker and without.

With the breaker there is a fallback chain: what it rejects is answered from a memory, and then by a default.
Everything is measured where it happens. Callers count what they saw, the upstream counts the requests that it parsed
off its sockets, the breaker reports its transitions; the summary and the picture are computed from these records.
"""
