"""purgatory: counts failures in a row; breakers live in a factory and are looked up by name on every call."""

# The library may be missing, and may have no types.
# mypy: disable-error-code="import-not-found, import-untyped"

from collections.abc import Callable

from purgatory import AsyncCircuitBreakerFactory
from purgatory.domain.model import OpenedState

from benchmarks.contender import Contender, Work

Decorator = Callable[[Work], Work]

_FACTORY = AsyncCircuitBreakerFactory()


def _make(name: str, *, failure_threshold: int, reset_timeout_seconds: float) -> Decorator:
    decorator: Decorator = _FACTORY(name, threshold=failure_threshold, ttl=reset_timeout_seconds)
    return decorator


def _protect(breaker: Decorator, function: Work) -> Work:
    protected: Work = breaker(function)
    return protected


CONTENDER = Contender("purgatory", make=_make, protect=_protect, rejection=OpenedState)
