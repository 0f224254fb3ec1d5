"""`recloser top` and `recloser status`: what a dashboard says, in a terminal and for scripts.

They know breakers only by what the dashboard of another process sends, and trust none of it.
"""
