"""Admits a call that has to ask a fleet for the lease of a probe; the fleet's port asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from recloser._breaker.admission import accepted
from recloser._core.tickets import NEEDS_LEASE, Ticket

if TYPE_CHECKING:
    from recloser._breaker.engine import Engine
    from recloser._core.fleet import LeasePort
    from recloser.errors import CircuitBreakerOpenError


async def admit_by_lease(engine: Engine) -> Any:  # noqa: ANN401 - a Ticket; Any for the reason given at `Engine.live`
    """Admit a call for which `engine.admit()` returned NEEDS_LEASE.

    Raises:
        CircuitBreakerOpenError: The call is rejected.
    """
    return accepted(await try_admit_by_lease(engine))


async def try_admit_by_lease(engine: Engine) -> Ticket | CircuitBreakerOpenError:
    """Admit a call for which `engine.try_admit()` returned NEEDS_LEASE; if cancelled, other callers get the probe."""
    ticket = await cast("LeasePort", engine.port).lease_probe()
    answer = engine.try_admit() if ticket is None else ticket
    return engine.reject(engine.now()) if answer is NEEDS_LEASE else answer
