"""A client of a dashboard: what `recloser top` and `recloser status` know of another process, and how they say it.

It knows breakers only by what the dashboard sends, and trusts none of it.
"""
