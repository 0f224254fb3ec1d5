"""The synchronous door: the same breaker for functions that are not awaited."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import NoReturn

import pytest

from recloser import CircuitBreaker, CircuitBreakerOpenError, CircuitState, SlowCallRate
from recloser._core.windows import CountWindow
from recloser.events import CallFailed, CallSucceeded, Event
from recloser.testing import ManualClock
from tests.breaker.kit import RESET_SECONDS, DependencyError, in_shadow, make, make_plain, totals


def answer(number: int = 7) -> int:
    return number


def down() -> NoReturn:
    raise DependencyError("down")


def ready(clock: ManualClock, **options: object) -> CircuitBreaker:
    """Makes an open breaker whose next call is a probe."""
    breaker = make(clock, **options)
    with pytest.raises(DependencyError):
        breaker.sync.call(down)
    assert breaker.state is CircuitState.OPEN
    clock.advance(RESET_SECONDS)
    return breaker


def test_a_call_returns_the_result_and_counts(clock: ManualClock) -> None:
    breaker = make(clock)
    assert breaker.sync.call(answer, 3) == 3
    assert breaker.sync.call(answer, number=4) == 4
    assert totals(breaker) == {"success": 2}


def test_a_decorated_function_keeps_its_name_and_counts(clock: ManualClock) -> None:
    breaker = make(clock, failure_threshold=2)
    double = breaker.sync(answer)
    assert (double.__name__, double(5), double(number=6)) == ("answer", 5, 6)
    with pytest.raises(DependencyError):
        breaker.sync(down)()
    assert totals(breaker) == {"success": 2, "failure": 1}


def test_a_failure_opens_and_calls_are_rejected_without_the_function(clock: ManualClock) -> None:
    breaker, asked = make(clock), []
    with pytest.raises(DependencyError):
        breaker.sync(down)()
    for enter in (breaker.sync(lambda: asked.append(1)), lambda: breaker.sync.call(asked.append, 1)):
        with pytest.raises(CircuitBreakerOpenError):
            enter()
    with pytest.raises(CircuitBreakerOpenError), breaker.sync.guard():
        asked.append(1)
    with pytest.raises(CircuitBreakerOpenError):
        breaker.sync.acquire()
    assert (breaker.sync.try_acquire(), asked) == (None, [])
    assert totals(breaker) == {"failure": 1, "rejected": 5}


@pytest.mark.parametrize("how", ["call", "guard", "acquire", "try_acquire"])
def test_one_probe_closes_the_breaker(clock: ManualClock, how: str) -> None:
    breaker = ready(clock)
    rejected = []

    def probe() -> None:
        assert breaker.state is CircuitState.HALF_OPEN
        with ThreadPoolExecutor(1) as pool:  # another thread is no part of the probe
            rejected.append(pool.submit(breaker.sync.try_acquire).result())

    if how == "call":
        breaker.sync.call(probe)
    elif how == "guard":
        with breaker.sync.guard() as permit:
            assert permit.is_probe
            probe()
    else:
        permit = getattr(breaker.sync, how)()
        probe()
        permit.succeed()
    assert (breaker.state, rejected) == (CircuitState.CLOSED, [None])


def test_a_permit_of_the_closed_path_counts(clock: ManualClock) -> None:
    breaker = make_plain(clock)
    breaker.sync.acquire().succeed()
    with breaker.sync.acquire():
        pass
    assert totals(breaker) == {"success": 2}


def test_shadow_mode_admits_what_would_be_rejected(clock: ManualClock) -> None:
    breaker = make(clock, shadow=True)
    with pytest.raises(DependencyError):
        breaker.sync.call(down)
    assert breaker.sync.call(answer) == 7
    assert in_shadow(breaker) == (1, 0, 1)


def test_a_failed_probe_opens_again(clock: ManualClock) -> None:
    breaker = ready(clock)
    with pytest.raises(DependencyError), breaker.sync.guard():
        down()
    assert breaker.state is CircuitState.OPEN


def test_a_call_inside_a_probe_is_part_of_it(clock: ManualClock) -> None:
    breaker = ready(clock)
    assert breaker.sync.call(lambda: breaker.sync.call(answer)) == 7
    assert breaker.state is CircuitState.CLOSED
    assert totals(breaker) == {"failure": 1, "success": 1, "probe": 1}


def test_a_failure_on_two_levels_counts_once(clock: ManualClock) -> None:
    breaker = make(clock, failure_threshold=9)
    with pytest.raises(DependencyError):
        breaker.sync.call(breaker.sync(down))
    assert totals(breaker) == {"failure": 1, "ignored": 1}


def test_listeners_and_rules_of_duration_see_its_calls(clock: ManualClock) -> None:
    breaker = make(clock, trip_when=SlowCallRate(1.0, slow_call_seconds=5, window=CountWindow(2), minimum_calls=2))
    seen: list[Event] = []
    breaker.subscribe(seen.append, (CallSucceeded, CallFailed))
    breaker.sync.call(clock.advance, 6)
    with breaker.sync.guard():
        clock.advance(6)
    assert [type(event) for event in seen] == [CallSucceeded, CallSucceeded]
    assert breaker.state is CircuitState.OPEN


def test_what_failed_result_says_counts(clock: ManualClock) -> None:
    breaker = make(clock, failed_result=lambda result: result is None)
    assert breaker.sync.call(lambda: None) is None
    assert breaker.state is CircuitState.OPEN


def test_samples_are_taken_and_successes_in_windows_are_shown_to_the_rule(clock: ManualClock) -> None:
    breaker = make(clock, trip_when=SlowCallRate(1.0, slow_call_seconds=99, window=CountWindow(9), minimum_calls=9))
    plain = make(clock)
    for _ in range(600):
        breaker.sync.call(answer)
        plain.sync.call(clock.advance, 0.25)
    assert plain.engine.machine.slowest == 0.25
    assert totals(breaker) == {"success": 600}


async def fetch() -> int:
    return 7


async def items() -> object:
    yield 7


class Asynchronous:
    async def __call__(self) -> int:
        return 7


@pytest.mark.parametrize("fn", [fetch, items, Asynchronous(), fetch.__call__])
def test_what_has_to_be_awaited_is_refused(clock: ManualClock, fn: object) -> None:
    breaker = make(clock)
    if fn in (fetch, items) or isinstance(fn, Asynchronous):
        with pytest.raises(TypeError, match="is asynchronous: breaker.sync does not await; use @breaker"):
            breaker.sync(fn)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="await"):
        breaker.sync.call(fn)  # type: ignore[arg-type]


@pytest.mark.parametrize("fn", [None, 7, "fetch"])
def test_what_is_no_function_is_refused(clock: ManualClock, fn: object) -> None:
    with pytest.raises(TypeError, match="breaker.sync takes a function, not"):
        make(clock).sync(fn)  # type: ignore[arg-type]


def test_a_result_that_has_to_be_awaited_is_a_misuse_and_no_outcome(clock: ManualClock) -> None:
    breaker = make(clock)
    with pytest.raises(TypeError, match=r"use await breaker.call\(fn, ...\)"):
        breaker.sync.call(lambda: fetch())  # noqa: PLW0108 - not asynchronous itself
    assert totals(breaker) == {"ignored": 1}


def test_the_plain_decorator_names_the_synchronous_door(clock: ManualClock) -> None:
    with pytest.raises(TypeError, match="@breaker.sync decorates functions that are not awaited"):
        make(clock)(answer)  # type: ignore[arg-type]


def test_a_guard_is_for_one_block_at_a_time(clock: ManualClock) -> None:
    guard = make(clock).sync.guard()
    with guard, pytest.raises(RuntimeError, match="in use"), guard:
        pass
    with guard as permit:
        permit.fail()
    guard.__exit__(None, None, None)


def test_its_text_names_the_breaker(clock: ManualClock) -> None:
    assert repr(make(clock).sync) == "<the synchronous door of circuit breaker 'payments'>"


# Waiting


def test_a_thread_that_waits_is_woken(clock: ManualClock) -> None:
    breaker = make(clock)
    breaker.force_open("a test")
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(breaker.sync.wait_until_ready, 10) for _ in range(3)]
        while breaker.engine.waiting is None or len(breaker.engine.waiting) < 3:
            time.sleep(0.001)
        breaker.reset()
        assert [each.result() for each in waiting] == [True] * 3
    assert not breaker.engine.waiting


def test_a_wait_ends_with_its_timeout_or_with_the_reset_timeout() -> None:
    breaker = CircuitBreaker(failure_threshold=1, reset_timeout_seconds=0.05)
    assert breaker.sync.wait_until_ready()
    breaker.force_open("a test")
    assert not breaker.sync.wait_until_ready(0.01)
    assert not breaker.sync.wait_until_ready(timeout_seconds=0)
    breaker.reset()
    with pytest.raises(DependencyError):
        breaker.sync.call(down)
    assert breaker.sync.wait_until_ready()


def test_a_thread_that_waits_is_woken_when_a_probe_is_dropped(clock: ManualClock) -> None:
    breaker = ready(clock)
    permits = [breaker.sync.acquire()]
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(breaker.sync.wait_until_ready, 10)
        while not breaker.engine.waiting:
            time.sleep(0.001)
        with pytest.warns(ResourceWarning):
            permits.clear()
        assert waiting.result()


def test_in_an_event_loop_a_wait_is_refused_and_a_call_is_not(clock: ManualClock) -> None:
    breaker = make(clock)

    async def main() -> int:
        with pytest.raises(TypeError, match="would block the event loop; use await"):
            breaker.sync.wait_until_ready()
        return breaker.sync.call(answer)

    assert asyncio.run(main()) == 7


@pytest.mark.parametrize(("seconds", "error"), [("1", TypeError), (-1, ValueError)])
def test_a_timeout_out_of_range_is_refused(clock: ManualClock, seconds: object, error: type[Exception]) -> None:
    with pytest.raises(error, match="timeout_seconds must be"):
        make(clock).sync.wait_until_ready(seconds)  # type: ignore[arg-type]


# Beside event loops


def test_threads_and_event_loops_share_one_probe() -> None:
    breaker = CircuitBreaker(failure_threshold=1, reset_timeout_seconds=0.01)
    breaker.force_open("a test", for_seconds=0.01)
    time.sleep(0.02)
    running, peak, lock = [0], [0], threading.Lock()

    def step(change: int) -> None:
        with lock:
            running[0] += change
            peak[0] = max(peak[0], running[0])

    def slow() -> None:
        step(1)
        time.sleep(0.2)
        step(-1)

    async def slow_too() -> None:
        step(1)
        await asyncio.sleep(0.2)
        step(-1)

    def call(number: int) -> bool:
        try:
            breaker.sync.call(slow) if number % 2 else asyncio.run(breaker.call(slow_too))
        except CircuitBreakerOpenError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(call, range(8))) == 1
    assert (peak, breaker.state) == ([1], CircuitState.CLOSED)
