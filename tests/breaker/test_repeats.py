"""A failure that passes through several calls of one breaker counts once."""

import gc
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Future

import anyio
import pytest

from recloser import CircuitBreaker, CircuitState, CountWindow, FailureRate
from recloser.events import CallFailed
from recloser.testing import ManualClock
from tests.breaker.kit import DependencyError, make, totals

pytestmark = pytest.mark.anyio

Fetch = Callable[[], Awaitable[None]]
Level = Callable[[CircuitBreaker, Fetch], Fetch]
THRESHOLD = 5


def decorated(breaker: CircuitBreaker, fetch: Fetch) -> Fetch:
    return breaker(fetch)


def called(breaker: CircuitBreaker, fetch: Fetch) -> Fetch:
    async def call() -> None:
        await breaker.call(fetch)

    return call


def guarded(breaker: CircuitBreaker, fetch: Fetch) -> Fetch:
    async def block() -> None:
        async with breaker.guard():
            await fetch()

    return block


def permitted(breaker: CircuitBreaker, fetch: Fetch) -> Fetch:
    async def held() -> None:
        with await breaker.acquire():
            await fetch()

    return held


def settled(breaker: CircuitBreaker, fetch: Fetch) -> Fetch:
    async def by_hand() -> None:
        permit = await breaker.acquire()
        try:
            await fetch()
        except DependencyError as exc:
            permit.fail(exc)
            raise

    return by_hand


def streamed(breaker: CircuitBreaker, fetch: Fetch) -> Fetch:
    @breaker
    async def items() -> AsyncIterator[None]:
        yield await fetch()

    async def read() -> None:
        async for _ in items():
            pass

    return read


LEVELS: list[Level] = [decorated, called, guarded, permitted, settled, streamed]
INNER = {level.__name__: level for level in LEVELS}
OUTER = {name: level for name, level in INNER.items() if level is not settled}
OPTIONS: dict[str, dict[str, object]] = {
    "counted": {"failure_threshold": THRESHOLD},
    "timed": {"failure_threshold": THRESHOLD, "overdue_after_seconds": 9},
    "by predicate": {"failure_threshold": THRESHOLD, "expected_exception": lambda exc: isinstance(exc, OSError)},
    "in a window": {"trip_when": FailureRate(0.5, window=CountWindow(99), minimum_calls=THRESHOLD)},
}


class DownError(DependencyError, OSError):
    """A failure by type and by predicate."""


async def down() -> None:
    await anyio.lowlevel.checkpoint()
    raise DownError("down")


async def fail(fetch: Fetch) -> None:
    with pytest.raises(DownError):
        await fetch()


@pytest.mark.parametrize("outer", OUTER.values(), ids=OUTER)
@pytest.mark.parametrize("inner", INNER.values(), ids=INNER)
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
async def test_a_failure_on_two_levels_counts_once(
    clock: ManualClock, inner: Level, outer: Level, options: dict[str, object]
) -> None:
    breaker = make(clock, **options)
    fetch = outer(breaker, inner(breaker, down))
    for count in range(1, THRESHOLD):
        await fail(fetch)
        assert totals(breaker) == {"failure": count, "ignored": count}
    assert breaker.state is CircuitState.CLOSED
    await fail(fetch)
    assert breaker.state is CircuitState.OPEN


async def test_a_failure_on_three_levels_around_another_breaker_counts_once_in_each(clock: ManualClock) -> None:
    breaker, other = make(clock, failure_threshold=9), make(clock, failure_threshold=9)
    await fail(decorated(breaker, decorated(other, guarded(breaker, guarded(other, decorated(breaker, down))))))
    assert totals(breaker) == {"failure": 1, "ignored": 2}
    assert totals(other) == {"failure": 1, "ignored": 1}


@pytest.mark.parametrize("level", OUTER.values(), ids=OUTER)
async def test_an_exception_object_that_is_raised_again_counts_for_each_call(clock: ManualClock, level: Level) -> None:
    breaker, error = make(clock, failure_threshold=9), DownError("always the same")

    async def raise_it() -> None:
        raise error

    for count in range(1, 6):
        await fail(level(breaker, raise_it))
        assert totals(breaker) == {"failure": count}


@pytest.mark.parametrize("level", OUTER.values(), ids=OUTER)
async def test_failures_of_calls_at_once_count_each(clock: ManualClock, level: Level) -> None:
    breaker = make(clock, failure_threshold=99)
    fetch = level(breaker, down)
    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(fail, fetch)
    assert totals(breaker) == {"failure": 20}


@pytest.mark.parametrize("level", OUTER.values(), ids=OUTER)
async def test_calls_at_once_that_raise_the_same_exception_object_count_each(clock: ManualClock, level: Level) -> None:
    breaker, error = make(clock, failure_threshold=99), DownError("always the same")

    async def raise_it() -> None:
        await anyio.lowlevel.checkpoint()
        raise error

    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(fail, level(breaker, raise_it))
    assert totals(breaker) == {"failure": 20}


@pytest.mark.parametrize("level", OUTER.values(), ids=OUTER)
async def test_errors_one_after_another_count_each_while_other_calls_fail(clock: ManualClock, level: Level) -> None:
    breaker = make(clock, failure_threshold=999)
    fetch = level(breaker, down)  # each error is dropped at once, so the next one can be where it was in memory

    async def fail_repeatedly() -> None:
        for _ in range(20):
            await fail(fetch)

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(fail_repeatedly)
    assert totals(breaker) == {"failure": 100}


@pytest.mark.parametrize("inner", INNER.values(), ids=INNER)
async def test_a_failure_that_is_caught_and_raised_from_afar_counts_once(clock: ManualClock, inner: Level) -> None:
    breaker = make(clock, failure_threshold=9)
    request = inner(breaker, down)

    def report(attempt: Future[None]) -> None:
        attempt.result()

    async def retry() -> None:
        attempt: Future[None] = Future()
        try:
            await request()
        except DownError as exc:
            attempt.set_exception(exc)
        report(attempt)

    await fail(breaker(retry))
    assert totals(breaker) == {"failure": 1, "ignored": 1}


async def test_a_failure_that_is_raised_again_by_name_counts_once(clock: ManualClock) -> None:
    breaker = make(clock, failure_threshold=9)

    async def get_user() -> None:
        try:
            await breaker(down)()
        except DownError as exc:  # noqa: TRY203 - as many people write it
            raise exc  # noqa: TRY201 - as above

    await fail(breaker(get_user))
    assert totals(breaker) == {"failure": 1, "ignored": 1}


async def test_what_a_cancellation_means_depends_on_each_call_alone(clock: ManualClock) -> None:
    breaker = make(clock, failure_threshold=9, overdue_after_seconds=5)

    async def get_user() -> None:
        await fail(breaker(down))
        clock.advance(6)
        await breaker(anyio.sleep_forever)()

    with anyio.move_on_after(0.05):
        await breaker(get_user)()
    assert totals(breaker) == {"failure": 2, "overdue": 1, "cancelled": 1}


async def test_attempts_inside_a_call_count_each_and_the_call_does_not(clock: ManualClock) -> None:
    breaker = make(clock, failure_threshold=9)
    request = breaker(down)

    async def get_user() -> None:
        for _ in range(2):
            await fail(request)
        await request()

    await fail(breaker(get_user))
    assert totals(breaker) == {"failure": 3, "ignored": 1}


async def test_another_error_than_that_of_the_call_inside_counts(clock: ManualClock) -> None:
    breaker = make(clock, failure_threshold=9)

    async def translate() -> None:
        try:
            await guarded(breaker, down)()
        except DownError as exc:
            raise DownError("translated") from exc

    await fail(breaker(translate))
    assert totals(breaker) == {"failure": 2}


async def test_an_error_that_was_handed_over_without_being_raised_counts(clock: ManualClock) -> None:
    breaker, error = make(clock, failure_threshold=9), DownError("made")

    async def report() -> None:
        (await breaker.acquire()).fail(error)
        (await breaker.acquire()).fail()
        raise error

    await fail(breaker(report))
    assert totals(breaker) == {"failure": 3}


async def test_an_answer_that_is_an_exception_stays_one(clock: ManualClock) -> None:
    breaker = make(clock, failure_threshold=9, expected_exception=OSError)

    async def find() -> None:
        raise KeyError("nobody")

    async def get_user() -> None:
        await fail(breaker(down))
        await breaker(find)()

    with pytest.raises(KeyError):
        await breaker(get_user)()
    assert totals(breaker) == {"failure": 1, "success": 2}


async def test_events_tell_one_failure(clock: ManualClock) -> None:
    breaker = make(clock, failure_threshold=9)
    seen: list[CallFailed] = []
    breaker.subscribe(seen.append, CallFailed)
    await fail(decorated(breaker, decorated(breaker, down)))
    assert len(seen) == 1


@pytest.mark.parametrize("level", OUTER.values(), ids=OUTER)
async def test_a_failure_is_not_kept_alive(clock: ManualClock, level: Level) -> None:
    breaker = make(clock, failure_threshold=9)
    try:
        await decorated(breaker, level(breaker, down))()
    except DownError as exc:
        alive = weakref.ref(exc)
    gc.collect()
    assert alive() is None
