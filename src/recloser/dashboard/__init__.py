"""A page that shows every breaker of a registry, live: an ASGI application to mount in any framework.

It needs nothing but recloser itself, and runs on asyncio and trio. `docs/how-to/dashboard.md` shows how to use it.
"""

from recloser.dashboard._dashboard import Dashboard
from recloser.lowlevel import publish as _publish

__all__ = ["Dashboard"]

_publish(globals())
