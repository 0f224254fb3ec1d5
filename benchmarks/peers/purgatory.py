"""purgatory: counts failures in a row; breakers live in a factory and are looked up by name on every call.

A block is a tenth faster than the decorator.
"""

# The library may be missing, and may have no types.
# mypy: disable-error-code="import-not-found, import-untyped"

from typing import NamedTuple

from purgatory import AsyncCircuitBreakerFactory
from purgatory.domain.model import OpenedState

from benchmarks.contender import Contender, Work

_FACTORY = AsyncCircuitBreakerFactory()


class _Circuit(NamedTuple):
    name: str
    threshold: int
    ttl: float


def _make(name: str, *, failure_threshold: int, reset_timeout_seconds: float) -> _Circuit:
    return _Circuit(name, failure_threshold, reset_timeout_seconds)


def _protect(breaker: _Circuit, function: Work) -> Work:
    get = _FACTORY.get_breaker
    name, threshold, ttl = breaker

    async def protected(value: int) -> int:
        async with await get(name, threshold, ttl):
            return await function(value)

    return protected


CONTENDERS = (
    Contender(
        "purgatory",
        make=_make,
        protect=_protect,
        rejection=OpenedState,
        does="block; looks the breaker up by name, counts failures in a row, sends messages",
    ),
)
