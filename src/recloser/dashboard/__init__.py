"""A page that shows every breaker of a registry, live: an ASGI application to mount in any framework.

It needs nothing but recloser itself, and runs on asyncio and trio. `docs/how-to/dashboard.md` shows how to use it.
"""

from typing import TYPE_CHECKING

from recloser import BreakerRegistry
from recloser.dashboard._application import Application
from recloser.dashboard._control import ControlEndpoint, checked_token
from recloser.dashboard._feed import READ_PER_ROUND, UpdateFeed
from recloser.dashboard._static import PAGE, static_files
from recloser.dashboard._status import StatusEndpoint
from recloser.dashboard._stream import QUIET_SECONDS, EventsEndpoint
from recloser.lowlevel import checks

if TYPE_CHECKING:
    from recloser.dashboard._http import HttpEndpoint

__all__ = ["app"]

VERSION = 2


def app(
    registry: BreakerRegistry,
    *,
    control_token: str | None = None,
    interval_seconds: float = 1.0,
    max_streams: int = 64,
) -> Application:
    """Return an ASGI application that shows a registry's breakers.

    Mounted at any path, it serves a page at `/`, the state as JSON at `/status.json`, and changes at `/events`. It has
    no login: mount it where only people who may see names, errors and reasons can reach it. Clients together cost some
    milliseconds per interval, however many there are; a slow client misses updates and receives the whole state again.

    Args:
        registry: The registry with the breakers.
        control_token: Allows its holder to force breakers open, to disable and to reset them; at least 16 visible
            ASCII characters. None: nobody can, and there is no endpoint for it.
        interval_seconds: The shortest time between two updates (finite, > 0).
        max_streams: How many clients may listen to `/events` at once, >= 1; further ones get a 503.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: An argument is out of its range.
    """
    if not isinstance(registry, BreakerRegistry):
        raise TypeError(f"registry must be a BreakerRegistry, not {registry!r}")
    checks.count("max_streams", max_streams)
    control = None if control_token is None else ControlEndpoint(registry, checked_token(control_token))
    feed = UpdateFeed(registry, checks.seconds("interval_seconds", interval_seconds))
    about = {
        "version": VERSION,
        "control": control is not None,
        "interval_seconds": feed.interval_seconds,
        "quiet_seconds": QUIET_SECONDS,
        "breakers_per_update": READ_PER_ROUND,
        "run": feed.run,
    }
    files = static_files()
    endpoints: dict[str, HttpEndpoint] = {f"static/{path}": file for path, file in files.items() if path != PAGE}
    endpoints |= {
        "": files[PAGE],
        "status.json": StatusEndpoint(registry, about),
        "events": EventsEndpoint(feed, about, max_streams),
    }
    if control is not None:
        endpoints["control"] = control
    return Application(endpoints)
