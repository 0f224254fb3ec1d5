"""Breakers of the same name in many processes share their state through a store that users already run.

`recloser.fleet.store` has the contract of a store.
"""

from recloser._core.homes import publish as _publish
from recloser.errors import FleetError, FleetStoreError
from recloser.fleet._fleet import Fleet, RedisFleet

__all__ = ["Fleet", "FleetError", "FleetStoreError", "RedisFleet"]

_publish(globals())
