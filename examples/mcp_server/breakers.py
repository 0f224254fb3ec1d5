"""The breakers: one per dependency, in one registry, and what counts as a failure of each dependency."""

import httpx

from recloser import BreakerRegistry, CircuitBreaker
from recloser.integrations import http_errors

from .sqlite import is_down


class Breakers:
    """One breaker per dependency.

    Args:
        api_reset_seconds: How long the breakers of HTTP services stay open.
        database_reset_seconds: How long the breaker of the database stays open.
    """

    def __init__(self, api_reset_seconds: float = 60.0, database_reset_seconds: float = 30.0) -> None:
        self.registry = BreakerRegistry()
        self._api_reset_seconds = api_reset_seconds
        self.external_api = self._of_service("external_api")
        self.users = self._of_service("users")
        self.primary = self._of_service("primary")
        self.secondary = self._of_service("secondary")
        self.database = self.registry.breaker(
            "database",
            failure_threshold=10,
            reset_timeout_seconds=database_reset_seconds,
            expected_exception=is_down,
        )

    def _of_service(self, name: str) -> CircuitBreaker:
        return self.registry.breaker(
            name,
            failure_threshold=5,
            reset_timeout_seconds=self._api_reset_seconds,
            expected_exception=is_service_down,
        )


def is_service_down(exc: BaseException) -> bool:
    """Return whether an HTTP service failed; a 404 is an answer, and a full pool is our own problem."""
    is_own = not isinstance(exc, httpx.HTTPStatusError | httpx.TransportError) or isinstance(exc, httpx.PoolTimeout)
    return not is_own and http_errors.is_failure(exc)
