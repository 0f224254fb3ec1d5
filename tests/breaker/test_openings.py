"""Breakers that open together because calls ran out of time are a finding of their own."""

import asyncio
import time
from collections.abc import Callable

import anyio
import pytest

from recloser import CircuitBreaker
from recloser._breaker.openings import TOGETHER, Openings
from recloser.testing import ManualClock

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def fresh_openings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forgets the breakers of other tests."""
    monkeypatch.setattr("recloser._breaker.engine.openings", Openings())


async def open_by(error: BaseException, name: str, clock: Callable[[], float] = time.monotonic) -> None:
    async def fail() -> None:
        raise error

    breaker = CircuitBreaker(name, failure_threshold=1, clock=clock)
    with pytest.raises(type(error)):
        await breaker.call(fail)


def findings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [text for record in caplog.records if "within a second" in (text := record.getMessage())]


async def test_breakers_that_open_together_by_time_limits_are_one_line(caplog: pytest.LogCaptureFixture) -> None:
    for number in range(TOGETHER):
        assert findings(caplog) == []
        await open_by(TimeoutError(), f"service {number}")
    assert len(findings(caplog)) == 1
    assert findings(caplog)[0].startswith(
        "5 circuit breakers opened within a second because calls ran out of time: 'ser"
    )
    assert "'service 4'. Look at this process and its network first" in findings(caplog)[0]


async def test_breakers_that_open_together_as_calls_are_cut_off_are_one_line(caplog: pytest.LogCaptureFixture) -> None:
    openings = Openings()
    for number in range(TOGETHER):
        openings.add(CircuitBreaker(f"service {number}").engine, asyncio.CancelledError())
    assert len(findings(caplog)) == 1


async def test_breakers_that_open_together_by_other_errors_are_no_finding(caplog: pytest.LogCaptureFixture) -> None:
    for number in range(TOGETHER):
        await open_by(ConnectionRefusedError(), f"service {number}")
    assert findings(caplog) == []


async def test_one_breaker_that_opens_often_is_no_finding(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(TOGETHER):
        await open_by(TimeoutError(), "service")
    assert findings(caplog) == []


async def test_breakers_with_a_clock_of_their_own_are_no_finding(caplog: pytest.LogCaptureFixture) -> None:
    for number in range(TOGETHER):
        await open_by(TimeoutError(), f"service {number}", ManualClock())
    assert findings(caplog) == []


async def test_breakers_that_open_one_after_another_are_no_finding(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recloser._breaker.openings.TOGETHER_SECONDS", 0.0)
    for number in range(TOGETHER):
        await open_by(TimeoutError(), f"service {number}")
        await anyio.sleep(0.001)
    assert findings(caplog) == []
