"""One breaker, and one of each policy, in several event loops and threads at the same time."""

import asyncio
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import anyio
import anyio.lowlevel
import pytest

from recloser import (
    Bulkhead,
    CircuitBreaker,
    CircuitBreakerOpenError,
    CircuitState,
    ConsecutiveFailures,
    CountWindow,
    FailureCount,
    FailureRate,
    RateLimit,
    SlowCallRate,
    TimeWindow,
)
from recloser._core.trip import TripRule
from recloser.errors import BulkheadFullError
from tests.breaker.kit import BACKENDS, DependencyError, totals

THREADS = 16


@pytest.fixture
def hasty() -> Iterator[None]:
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def at_once(run: Callable[[int], object], threads: int = THREADS) -> list[object]:
    """Runs something in several threads at once; returns what it returns, or raises what it raises."""
    ready = threading.Barrier(threads)

    def start(number: int) -> object:
        ready.wait()
        return run(number)

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(start, range(threads)))


class Watched:
    """A dependency that notes how many calls it has at once."""

    def __init__(self, seconds: float = 0.02) -> None:
        self.seconds = seconds
        self.running = self.peak = self.calls = 0
        self._lock = threading.Lock()

    async def ask(self) -> str:
        with self._lock:
            self.calls += 1
            self.running += 1
            self.peak = max(self.peak, self.running)
        await anyio.sleep(self.seconds)
        with self._lock:
            self.running -= 1
        return "answer"


async def down() -> None:
    raise DependencyError("down")


def in_a_loop(number: int, main: Callable[[], object]) -> object:
    return anyio.run(main, backend=BACKENDS[number % len(BACKENDS)])  # type: ignore[arg-type]


@pytest.mark.parametrize("max_probes", [1, 3])
def test_so_many_probes_run_at_once_in_the_whole_process(max_probes: int) -> None:
    breaker = CircuitBreaker(
        failure_threshold=1, reset_timeout_seconds=0.01, max_probes=max_probes, success_threshold=max_probes
    )
    breaker.force_open("a test", for_seconds=0.01)
    time.sleep(0.02)
    dependency = Watched(0.2)
    rejected = []

    async def main() -> None:
        try:
            await breaker.call(dependency.ask)
        except CircuitBreakerOpenError as error:
            rejected.append(error)

    at_once(lambda number: in_a_loop(number, main))
    assert (dependency.peak, len(rejected)) == (max_probes, THREADS - max_probes)
    assert breaker.state is CircuitState.CLOSED
    assert totals(breaker).get("leaked", 0) == 0


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_probe_of_a_loop_that_is_gone_is_given_up(backend: str) -> None:
    breaker = CircuitBreaker(failure_threshold=1, reset_timeout_seconds=0.01)
    breaker.force_open("a test", for_seconds=0.01)
    time.sleep(0.02)

    async def leave() -> object:
        return await breaker.acquire()

    permit = anyio.run(leave, backend=backend)
    assert permit.is_probe  # type: ignore[attr-defined]
    assert asyncio.run(breaker.call(Watched().ask)) == "answer"
    assert breaker.state is CircuitState.CLOSED
    assert totals(breaker)["leaked"] == 1
    permit.ignore()  # type: ignore[attr-defined]


def test_requests_with_a_loop_each_let_through_no_more_than_one_thread_does() -> None:
    def hits(threads: int) -> int:
        breaker, found, lock = CircuitBreaker(failure_threshold=5, reset_timeout_seconds=60), [], threading.Lock()

        async def ask() -> None:
            with lock:
                found.append(1)
            await anyio.lowlevel.checkpoint()
            raise DependencyError("down")

        def requests(_: int) -> None:
            for _ in range(160 // threads):
                with suppress(DependencyError, CircuitBreakerOpenError):
                    asyncio.run(breaker.call(ask))

        at_once(requests, threads)
        return len(found)

    assert hits(1) == 5
    assert hits(THREADS) <= 5 + THREADS  # one more per thread: their calls are under way when the breaker opens


RULES = [
    ConsecutiveFailures(10**6),
    ConsecutiveFailures(10**5, within_seconds=60),
    FailureRate(1.0, window=CountWindow(50), minimum_calls=50),
    FailureRate(1.0, window=TimeWindow(60), minimum_calls=50),
    FailureCount(10**5, window=TimeWindow(60)),
    SlowCallRate(1.0, slow_call_seconds=60, window=CountWindow(50), minimum_calls=50),
]


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("rule", RULES, ids=str)
def test_totals_are_exact_however_often_threads_take_turns(rule: TripRule) -> None:
    breaker = CircuitBreaker(trip_when=rule)
    each = 150

    async def calls() -> None:
        for number in range(each):
            if number % 3 == 0:
                try:
                    await breaker.call(down)
                except DependencyError:
                    continue
            elif number % 3 == 1:
                await breaker.call(anyio.sleep, 0)
            else:
                async with breaker.guard():
                    pass

    at_once(lambda number: in_a_loop(number, calls), 8)
    assert totals(breaker) == {"failure": 8 * each // 3, "success": 8 * each * 2 // 3}


@pytest.mark.usefixtures("hasty")
def test_a_breaker_that_flaps_in_many_loops_never_has_two_probes_and_never_breaks() -> None:
    breaker = CircuitBreaker(failure_threshold=3, reset_timeout_seconds=0.001)

    async def ask(number: int) -> None:
        assert breaker.health()["probes_in_flight"] <= 1
        await anyio.lowlevel.checkpoint()
        if number % 2:
            raise DependencyError("down")

    async def calls() -> None:
        for number in range(200):
            try:
                await breaker.call(ask, number)
            except (DependencyError, CircuitBreakerOpenError):
                await anyio.lowlevel.checkpoint()

    at_once(lambda number: in_a_loop(number, calls), 6)
    found = totals(breaker)
    ended = sum(found.get(kind, 0) for kind in ("success", "failure", "ignored", "cancelled", "late"))
    assert ended + found.get("rejected", 0) == 6 * 200
    assert found.get("leaked", 0) == 0
    assert breaker.health()["probes_in_flight"] == 0


def test_every_task_that_waits_is_woken_in_its_own_loop() -> None:
    breaker = CircuitBreaker(failure_threshold=1)
    breaker.force_open("a test")
    waiting = threading.Barrier(5)

    async def wait() -> bool:
        await anyio.to_thread.run_sync(waiting.wait)
        return await breaker.wait_until_ready(timeout_seconds=10)

    with ThreadPoolExecutor(4) as pool:
        found = [pool.submit(in_a_loop, number, wait) for number in range(4)]
        waiting.wait()
        time.sleep(0.05)
        breaker.reset()
        assert [each.result() for each in found] == [True] * 4


def test_a_bulkhead_has_so_many_places_in_the_whole_process() -> None:
    bulkhead, dependency = Bulkhead(2, max_queue=100), Watched(0.01)

    async def main() -> None:
        for _ in range(3):
            await bulkhead.call(dependency.ask)

    at_once(lambda number: in_a_loop(number, main), 8)
    assert (dependency.peak, dependency.calls) == (2, 24)
    assert (bulkhead.borrowed, bulkhead.waiting) == (0, 0)


def test_a_bulkhead_without_a_queue_rejects_in_every_loop() -> None:
    bulkhead, dependency = Bulkhead(1), Watched(0.3)

    async def main() -> bool:
        try:
            await bulkhead.call(dependency.ask)
        except BulkheadFullError:
            return False
        return True

    assert sorted(at_once(lambda number: in_a_loop(number, main), 6)) == [False] * 5 + [True]  # type: ignore[type-var]


def test_a_rate_limit_is_one_for_the_whole_process() -> None:
    limit, starts, lock = RateLimit(2, 0.2, max_wait_seconds=30), [], threading.Lock()

    async def note() -> None:
        with lock:
            starts.append(time.monotonic())

    async def main() -> None:
        for _ in range(3):
            await limit.call(note)

    began = time.monotonic()
    at_once(lambda number: in_a_loop(number, main), 4)
    assert len(starts) == 12
    assert max(starts) - began >= 0.9  # two at once, and then one every 0.1 s
    assert limit.waiting == 0
