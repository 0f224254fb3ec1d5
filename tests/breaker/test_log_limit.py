"""Whatever calls can make the library log: few lines, and nothing of what the calls were about."""

import gc
import logging
import traceback
from collections.abc import Awaitable, Callable
from functools import partial
from weakref import ref

import pytest

from recloser import (
    BreakerRegistry,
    Bulkhead,
    CircuitBreaker,
    Constant,
    Fallback,
    Hedge,
    LastKnownGood,
    NoAnswer,
    RateLimit,
    Retry,
    RetryBudget,
    Timeout,
)
from recloser._breaker.log import LogLimit, log_limit
from recloser.testing import ManualClock

CALLS = 1000
ROW = "the row of Alice"


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "recloser"]


@pytest.fixture
def limit(clock: ManualClock, caplog: pytest.LogCaptureFixture) -> LogLimit:
    caplog.set_level(logging.INFO, "recloser")
    return LogLimit(clock)


def test_the_first_two_lines_alike_are_logged_and_the_next_tells_how_many_were_held_back(
    limit: LogLimit, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(CALLS + 1):
        limit.log(logging.ERROR, "%r failed", "orders")
    assert lines(caplog) == ["'orders' failed"] * 2 + ["'orders' failed; 998 more like it were held back"]


def test_lines_with_other_names_are_logged_at_first_as_long_as_they_are_few(
    limit: LogLimit, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(CALLS):
        limit.log(logging.ERROR, "%r failed", number)
    limit.log(logging.ERROR, "%r is gone", 1)
    assert lines(caplog) == ["0 failed", "1 failed", "2 failed", "3 failed", "1 is gone"]


def test_values_make_no_line_another_one(limit: LogLimit, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(5):
        limit.log(logging.ERROR, "%r waits %d s", "orders", values=(number,))
    assert lines(caplog) == ["'orders' waits 0 s", "'orders' waits 1 s"]


def test_a_line_that_was_not_due_for_ten_minutes_is_new_again(
    limit: LogLimit, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(4):
        limit.log(logging.ERROR, "%r failed", "orders")
    clock.advance(600)
    limit.log(logging.ERROR, "%r failed", "orders")
    clock.advance(601)
    limit.log(logging.ERROR, "%r failed", "orders")
    assert lines(caplog)[2:] == ["'orders' failed; 3 more like it were held back"]


def test_a_long_outage_is_told_of_once_an_hour(
    limit: LogLimit, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2 * 60):
        limit.log(logging.ERROR, "%r failed", "orders")
        clock.advance(60)
    assert lines(caplog) == ["'orders' failed"] * 2 + ["'orders' failed; 59 more like it were held back"]


def test_what_is_not_logged_is_not_described(limit: LogLimit, caplog: pytest.LogCaptureFixture) -> None:
    class WatchedError(Exception):
        described = 0

        @property
        def status(self) -> int:
            WatchedError.described += 1
            return 503

    for _ in range(CALLS):
        limit.log(logging.ERROR, "%r failed: %s", "orders", exc=WatchedError())
        limit.log(logging.DEBUG, "%r failed: %s", "orders", exc=WatchedError())
    assert lines(caplog) == ["'orders' failed: " + lines(caplog)[0].partition(": ")[2]] * 2
    assert WatchedError.described == 2


def test_a_limit_lives_as_long_as_its_owner() -> None:
    breaker = CircuitBreaker()
    limit = log_limit(breaker)
    assert log_limit(breaker) is limit
    known = ref(breaker)
    del breaker
    gc.collect()
    assert known() is None


def raises(*_: object, **__: object) -> bool:
    raise ValueError(ROW)


def asynchronous(*_: object) -> object:
    async def answer() -> bool:
        return True

    return answer()


async def down() -> None:
    raise ConnectionRefusedError(111, ROW)


async def fine() -> str:
    return ROW


def fallback() -> Callable[..., Awaitable[object]]:
    async def cache() -> None:
        raise NoAnswer(ROW)

    memory = LastKnownGood(60, 10, clock=raises)
    return Fallback(cache, memory, on=OSError, name="orders")(down)


def constant() -> Callable[..., Awaitable[object]]:
    return Fallback(Constant(0), on=OSError)(down)


def breaker(**settings: object) -> Callable[..., Awaitable[object]]:
    made = CircuitBreaker("orders", failure_threshold=10**6, **settings)
    made.subscribe(raises)
    return made.call


CAUSES: dict[str, tuple[Callable[[], Callable[..., Awaitable[object]]], Callable[..., Awaitable[object]]]] = {
    "retry": (lambda: Retry(3, 0.0, budget=None).call, down),
    "budget": (lambda: Retry(3, 0.0, budget=RetryBudget(0, minimum_per_second=0, burst=1)).call, down),
    "retry-on": (lambda: Retry(3, 0.0, on=raises).call, down),
    "hedge-on": (lambda: Hedge(10.0, on=raises).call, down),
    "timeout": (lambda: Timeout(10.0).call, down),
    "bulkhead": (lambda: Bulkhead(1).call, down),
    "rate-limit": (lambda: RateLimit(1, 10).call, down),
    "listener": (breaker, down),
    "expected": (partial(breaker, expected_exception=raises), down),
    "expected-async": (partial(breaker, expected_exception=asynchronous), down),
    "ignored": (partial(breaker, ignored_exception=raises), down),
    "failed-result": (partial(breaker, failed_result=raises), fine),
    "failed-result-async": (partial(breaker, failed_result=asynchronous), fine),
    "describe-error": (partial(breaker, describe_error=raises), down),
}


@pytest.mark.anyio
@pytest.mark.filterwarnings("ignore::recloser.errors.ConfigurationWarning")
@pytest.mark.parametrize("cause", CAUSES)
async def test_a_thousand_calls_log_ten_lines_at_most_and_nothing_of_what_they_were_about(
    cause: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "recloser")
    make, fn = CAUSES[cause]
    call = make()
    for _ in range(CALLS):
        try:
            await call(fn)
        except Exception as error:  # noqa: BLE001 - what the calls end with is not what is tested
            del error
    written = lines(caplog)
    assert len(written) <= 10
    assert bool(written) == (cause not in {"timeout", "bulkhead", "rate-limit"})
    assert ROW not in caplog.text


@pytest.mark.anyio
@pytest.mark.parametrize("make", [fallback, constant])
async def test_a_fallback_logs_ten_lines_for_a_thousand_degraded_calls(
    make: Callable[[], Callable[..., Awaitable[object]]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "recloser")
    call = make()
    for _ in range(CALLS):
        try:
            await call()
        except Exception as error:  # noqa: BLE001 - as above
            del error
    assert 0 < len(lines(caplog)) <= 10
    assert "ConnectionRefusedError: ECONNREFUSED" in lines(caplog)[-1] or make is fallback
    assert ROW not in caplog.text


@pytest.mark.anyio
async def test_the_breakers_of_a_registry_share_what_they_may_log(caplog: pytest.LogCaptureFixture) -> None:
    registry = BreakerRegistry(expected_exception=raises)
    for number in range(CALLS):
        with pytest.raises(OSError, match=ROW):
            await registry.breaker(f"tenant-{number}").call(down)
    assert len(lines(caplog)) == 4


@pytest.mark.anyio
async def test_a_traceback_shows_where_a_function_of_the_user_raised_and_no_message(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.raises(OSError, match=ROW):
        await CircuitBreaker(expected_exception=raises).call(down)
    (record,) = caplog.records
    assert record.exc_info is not None
    kind, error, trace = record.exc_info
    assert (kind, str(error)) == (ValueError, "")
    assert traceback.extract_tb(trace)[-1].name == "raises"
    assert "ValueError" in caplog.text
    assert ROW not in caplog.text


@pytest.mark.anyio
async def test_what_a_programming_error_says_is_kept(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(OSError, match=ROW):
        await CircuitBreaker(expected_exception=lambda exc: exc.statuscode == 503).call(down)
    assert "AttributeError: 'ConnectionRefusedError' object has no attribute 'statuscode'" in caplog.text
