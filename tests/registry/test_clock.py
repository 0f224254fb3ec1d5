"""A clock that fails where a call makes a breaker."""

import logging
import math

import pytest

from recloser import BreakerRegistry
from recloser.testing import ManualClock

pytestmark = pytest.mark.anyio


async def fetch(url: str) -> str:
    return url


class FailingClock(ManualClock):
    """A clock that can fail in several ways."""

    failure: object = None

    def __call__(self) -> float:
        if isinstance(self.failure, Exception):
            raise self.failure
        return super().__call__() if self.failure is None else self.failure


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


FAILED = "The clock of a registry failed; its last reading is used"


@pytest.mark.parametrize("failure", [ZeroDivisionError(), math.nan, "now"], ids=str)
async def test_a_call_that_makes_a_breaker_survives_a_failing_clock(
    caplog: pytest.LogCaptureFixture, failure: object
) -> None:
    clock = FailingClock(1_000.0)
    registry = BreakerRegistry(clock=clock)
    protected = registry.per_key("web", key=lambda url: url)(fetch)
    assert await protected("a") == "a"
    clock.failure = failure
    assert [await protected(url) for url in ("b", "c")] == ["b", "c"]
    assert errors(caplog) == [FAILED]
    assert registry["web[c]"].snapshot().taken_monotonic == 1_000.0


async def test_so_does_the_first_call_and_the_breaker_follows_the_clock_once_it_works(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = FailingClock(1_000.0)
    clock.failure = ZeroDivisionError()
    registry = BreakerRegistry(clock=clock, failure_threshold=1, reset_timeout_seconds=60)

    @registry.per_key("web", key=lambda url: url)
    async def fail(url: str) -> None:
        if url == "a":
            raise ConnectionError(url)

    with pytest.raises(ConnectionError):
        await fail("a")
    breaker = registry["web[a]"]
    assert (breaker.get_state(), breaker.snapshot().taken_monotonic, errors(caplog)[0]) == ("open", 0.0, FAILED)
    clock.failure = None
    with pytest.raises(ConnectionError):  # the reset timeout has elapsed, as for any clock that jumps forward
        await fail("a")
    assert breaker.snapshot().taken_monotonic == 1_000.0
    await fail("b")
