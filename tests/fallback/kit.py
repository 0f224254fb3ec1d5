"""Links that do as they are told, and breakers that are open."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from recloser import CircuitBreaker, Fallback, RejectedError


class DownError(Exception):
    """What a dependency that is down raises."""


class Source:
    """A link that counts its calls, and answers or raises what the test has put in."""

    def __init__(self, name: str, end: object = None) -> None:
        self.__name__ = name
        self.end = f"{name} answers" if end is None else end
        self.calls: list[tuple[tuple[object, ...], dict[str, object]]] = []

    async def __call__(self, *args: object, **kwargs: object) -> object:
        self.calls.append((args, kwargs))
        if isinstance(self.end, BaseException):
            raise self.end
        return self.end


def protect(primary: Callable[..., Awaitable[object]], *links: object, **options: object) -> Any:  # noqa: ANN401 - a coroutine function with more attributes
    """Protects a function by a fallback to some links."""
    return Fallback(*links, **options)(primary)


def rejecting(name: str = "primary") -> Source:
    return Source(name, RejectedError(name))


async def opened(name: str) -> CircuitBreaker:
    """Makes a breaker that is open for an hour."""
    breaker = CircuitBreaker(name, failure_threshold=1, reset_timeout_seconds=3600)
    with pytest.raises(DownError):
        await breaker.call(Source(name, DownError()))
    return breaker


async def behind_open_breaker(name: str) -> Callable[..., object]:
    """Makes a function whose breaker is open."""

    async def fetch(*_: object, **__: object) -> object:
        pytest.fail("an open breaker let a call through")

    fetch.__name__ = name
    return (await opened(name))(fetch)


def lines(log: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """Returns what recloser has logged about chains."""
    return [
        (record.levelname, record.getMessage())
        for record in log.records
        if record.name == "recloser" and not record.getMessage().startswith("Circuit breaker")
    ]
