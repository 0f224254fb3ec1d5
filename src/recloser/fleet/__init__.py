"""Breakers of the same name in many processes share their state through a store that users already run.

The contract of a store, and what it guarantees, is the page of `recloser.fleet.store`.
"""

from recloser._core.homes import publish as _publish
from recloser.errors import FleetError, FleetStoreError
from recloser.fleet._fleet import Fleet, RedisFleet
from recloser.fleet.store import FleetStore
from recloser.fleet.store.memory import InMemoryStore
from recloser.fleet.store.operations import (
    Acquire,
    AnyOperation,
    Control,
    Renew,
    Report,
    Result,
    Sync,
    Vote,
)
from recloser.fleet.store.redis import RedisStore
from recloser.fleet.store.server import InMemoryServer
from recloser.fleet.store.values import (
    OBSERVER,
    Action,
    Code,
    FleetPolicy,
    FleetRule,
    HitKind,
    Message,
    ProbeResult,
    Reply,
    SharedState,
    microseconds,
    new_worker_id,
)

__all__ = [
    "OBSERVER",
    "Acquire",
    "Action",
    "AnyOperation",
    "Code",
    "Control",
    "Fleet",
    "FleetError",
    "FleetPolicy",
    "FleetRule",
    "FleetStore",
    "FleetStoreError",
    "HitKind",
    "InMemoryServer",
    "InMemoryStore",
    "Message",
    "ProbeResult",
    "RedisFleet",
    "RedisStore",
    "Renew",
    "Reply",
    "Report",
    "Result",
    "SharedState",
    "Sync",
    "Vote",
    "microseconds",
    "new_worker_id",
]

_publish(globals())
