"""What the tests of the transports share: clients, and what their breakers have counted."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from recloser import BreakerRegistry, CircuitBreaker
from tests.integrations.conftest import Library

RESET_SECONDS = 60.0
LEFT_EARLY = pytest.mark.filterwarnings("ignore:Async generator 'httpc?(x|ore):ResourceWarning")
"""The libraries leave their own generators to the garbage collector when a body is left early; trio remarks on it."""


@asynccontextmanager
async def client_of(library: Library, breaker: CircuitBreaker, **options: Any) -> AsyncGenerator[Any]:  # noqa: ANN401
    """Opens a client whose only breaker is the given one."""
    transport = library.transport(breaker=breaker, **options)
    async with library.web.AsyncClient(transport=transport, timeout=5) as client:
        yield client


def one(**options: object) -> CircuitBreaker:
    """Makes a breaker that opens at the first failure, for a minute."""
    return CircuitBreaker("api", **{"failure_threshold": 1, "reset_timeout_seconds": RESET_SECONDS, **options})


def totals(breaker: CircuitBreaker) -> dict[str, int]:
    """Returns the totals that are not 0."""
    health = breaker.health()
    return {key.removesuffix("_total"): value for key, value in health.items() if key.endswith("_total") and value}


def names(registry: BreakerRegistry | None) -> set[str]:
    assert registry is not None
    return {breaker.name for breaker in registry}
