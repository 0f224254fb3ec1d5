"""A protected async generator behaves as the function's own, also if its duration is measured or it is a probe."""

import asyncio
import warnings
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing
from contextvars import ContextVar, copy_context
from typing import Any, NamedTuple

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recloser import Bulkhead, CircuitBreaker, CountWindow, SlowCallRate
from recloser._breaker.probe_context import entered_probes
from recloser.events import CallSucceeded
from recloser.testing import ManualClock
from tests.breaker.kit import BACKENDS, DependencyError, drop, make, make_open, make_ready, take_first_samples, totals

pytestmark = pytest.mark.anyio

Function = Callable[..., AsyncGenerator[Any, Any]]
SLOW = SlowCallRate(1.0, slow_call_seconds=10, window=CountWindow(2), minimum_calls=1)
request_id: ContextVar[int] = ContextVar("request_id", default=0)


async def counted(clock: ManualClock) -> CircuitBreaker:
    return make(clock)


async def measured(clock: ManualClock) -> CircuitBreaker:
    return make(clock, trip_when=SLOW)


async def probing(clock: ManualClock) -> CircuitBreaker:
    return await make_ready(clock)


async def in_shadow(clock: ManualClock) -> CircuitBreaker:
    return await make_open(clock, shadow=True)


KINDS = [counted, measured, probing]
Kind = Callable[[ManualClock], Awaitable[CircuitBreaker]]
each_kind = pytest.mark.parametrize("kind", KINDS)


class Step(NamedTuple):
    """What the function does when it is resumed."""

    waits: bool
    does: str
    value: object
    swallows: bool
    """Whether it goes on after an exception that is thrown into it."""


class Request(NamedTuple):
    """What the reader does."""

    does: str
    value: Any


VALUES = st.sampled_from([None, 0, "", "a value"])
ERRORS = st.sampled_from([DependencyError, RuntimeError, KeyboardInterrupt])
STEPS = st.builds(Step, st.booleans(), st.sampled_from(["yield", "yield", "yield", "raise"]), VALUES, st.booleans())
REQUESTS = st.one_of(
    st.builds(Request, st.just("next"), st.none()),
    st.builds(Request, st.just("send"), VALUES),
    st.builds(Request, st.just("throw"), ERRORS),
    st.builds(Request, st.just("close"), st.none()),
)


async def scripted(script: list[Step], log: list[object]) -> AsyncGenerator[Any, Any]:
    """Follows a script, and logs what it is sent and what is thrown into it."""
    for step in script:
        if step.waits:
            await anyio.lowlevel.checkpoint()
        if step.does == "raise":
            raise DependencyError(step.value)
        try:
            log.append(("was sent", (yield step.value)))
        except BaseException as exc:
            log.append(("got", type(exc)))
            if isinstance(exc, GeneratorExit) or not step.swallows:
                raise


async def read(function: Function, script: list[Step], requests: list[Request]) -> list[object]:
    """Reads a stream as requested; returns what both sides saw."""
    log: list[object] = []
    stream = function(script, log)
    for request in requests:
        try:
            match request:
                case Request("next"):
                    log.append(("item", await anext(stream)))
                case Request("send", value):
                    log.append(("item", await stream.asend(value)))
                case Request("throw", error):
                    log.append(("item", await stream.athrow(error())))
                case Request("close"):
                    log.append(("closed", await stream.aclose()))
        except BaseException as exc:  # noqa: BLE001 - logged
            log.append((type(exc), str(exc), exc.__cause__ is None))
    script.clear()
    await stream.aclose()
    return log


async def wrapped_in(kind: Kind) -> Function:
    return (await kind(ManualClock()))(scripted)


async def in_a_bulkhead() -> Function:
    return Bulkhead(1)(scripted)


WRAPPERS = [lambda: wrapped_in(counted), lambda: wrapped_in(measured), lambda: wrapped_in(probing)]
WRAPPERS += [lambda: wrapped_in(in_shadow), in_a_bulkhead]


@pytest.mark.parametrize("wrap", WRAPPERS, ids=["counted", "measured", "probe", "shadow", "bulkhead"])
@settings(deadline=None)
@given(script=st.lists(STEPS, max_size=5), requests=st.lists(REQUESTS, max_size=7), backend=st.sampled_from(BACKENDS))
def test_both_sides_of_a_stream_see_what_they_see_without_protection(
    wrap: Callable[[], Awaitable[Function]], script: list[Step], requests: list[Request], backend: str
) -> None:
    async def main() -> None:
        bare = await read(scripted, [*script], requests)
        assert await read(await wrap(), [*script], requests) == bare

    anyio.run(main, backend=backend)


@each_kind
@pytest.mark.parametrize("item", [None, 0, ""])
async def test_an_item_that_is_false_is_an_item_when_the_stream_is_closed(
    kind: Kind, item: object, clock: ManualClock
) -> None:
    async def source() -> AsyncIterator[object]:
        yield item
        await anyio.sleep_forever()

    breaker = await kind(clock)
    stream = breaker(source)()
    await anext(stream)
    before = totals(breaker).get("success", 0)
    await stream.aclose()
    assert totals(breaker)["success"] == before + 1


@each_kind
async def test_the_last_item_of_one_stream_is_no_item_of_the_next(kind: Kind, clock: ManualClock) -> None:
    async def source(*, hangs: bool) -> AsyncIterator[int]:
        if hangs:
            await anyio.sleep_forever()
        yield 1

    breaker = await kind(clock)
    function = breaker(source)
    assert [item async for item in function(hangs=False)] == [1]
    with anyio.CancelScope() as scope:
        scope.cancel()
        await anext(function(hangs=True))
    assert totals(breaker)["cancelled"] == 1


@each_kind
async def test_a_task_that_is_cancelled_between_two_items_runs_the_functions_cleanup_once(
    kind: Kind, clock: ManualClock
) -> None:
    log = []

    async def source() -> AsyncIterator[int]:
        try:
            for number in range(2):
                await anyio.lowlevel.checkpoint()
                yield number
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()
            log.append("closed")

    async def consume() -> None:
        async with aclosing(function()) as stream:
            async for _ in stream:
                await anyio.sleep_forever()

    function = (await kind(clock))(source)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(consume)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    assert log == ["closed"]


@each_kind
async def test_a_function_that_goes_on_after_it_was_closed_is_refused(kind: Kind, clock: ManualClock) -> None:
    async def stubborn() -> AsyncIterator[int]:
        try:
            yield 1
        except GeneratorExit:
            yield 2

    stream = (await kind(clock))(stubborn)()
    await anext(stream)
    with pytest.raises(RuntimeError, match="ignored GeneratorExit"):
        await stream.aclose()


@each_kind
async def test_both_sides_share_the_context_of_the_task(kind: Kind, clock: ManualClock) -> None:
    async def source() -> AsyncIterator[int]:
        while True:
            request_id.set(request_id.get() + 1)
            yield request_id.get()

    seen = []
    async with aclosing((await kind(clock))(source)()) as stream:
        for number in (10, 20):
            request_id.set(number)
            seen += [await anext(stream), request_id.get()]
    assert seen == [11, 11, 21, 21]


async def test_a_probe_is_entered_until_the_first_item_and_left_for_the_reader(clock: ManualClock) -> None:
    breaker, log = await probing(clock), []

    async def is_part_of_the_probe() -> bool:
        permit = await breaker.try_acquire()
        if permit is not None:
            permit.ignore()
        return permit is not None and permit.generation == 0

    async def source() -> AsyncGenerator[int, None]:
        try:
            for number in range(9):
                log.append(await is_part_of_the_probe())
                try:
                    yield number
                except DependencyError:
                    log.append(await is_part_of_the_probe())
        finally:
            log.append(await is_part_of_the_probe())

    async with aclosing(breaker(source)()) as stream:
        for step in (lambda: anext(stream), lambda: stream.asend(1), lambda: stream.athrow(DependencyError())):
            await step()
            log.append(await is_part_of_the_probe())
    assert log == [True] + [False] * 7


@pytest.mark.parametrize("ending", ["exhausted", "raises", "closed"])
async def test_a_probe_that_has_ended_leaves_nothing_in_the_readers_context(ending: str, clock: ManualClock) -> None:
    async def source() -> AsyncIterator[int]:
        yield 1
        if ending == "raises":
            raise DependencyError

    stream = (await probing(clock))(source)()
    await anext(stream)
    if ending == "closed":
        await stream.aclose()
    else:
        with pytest.raises(DependencyError if ending == "raises" else StopAsyncIteration):
            await anext(stream)
    assert entered_probes() == ()


async def test_a_probe_that_ends_in_another_context_while_it_waits_leaves_the_probes_there(
    clock: ManualClock,
) -> None:
    async def hanging() -> AsyncIterator[int]:
        await Forever()
        yield 1

    class Forever:
        def __await__(self) -> Iterator[None]:
            yield

    breaker, other = await probing(clock), await probing(clock)
    step = breaker(hanging)().asend(None)
    copy_context().run(step.send, None)
    with await other.acquire():
        entered = entered_probes()
        with pytest.raises(DependencyError):
            step.throw(DependencyError())
        assert entered_probes() == entered != ()
    assert totals(breaker)["failure"] == 2


@pytest.mark.parametrize("way", ["reads on", "sends", "throws", "closes"])
async def test_the_readers_time_is_no_part_of_the_duration_however_it_goes_on(way: str, clock: ManualClock) -> None:
    async def source() -> AsyncGenerator[int, None]:
        try:
            clock.advance(1)
            yield 1
        except DependencyError:
            pass
        finally:
            clock.advance(2)

    breaker, durations = make(clock), []
    breaker.subscribe(lambda event: durations.append(event.duration_seconds), kinds=CallSucceeded)
    stream = breaker(source)()
    await anext(stream)
    clock.advance(100)
    if way == "closes":
        await stream.aclose()
    else:
        steps = {
            "reads on": anext,
            "sends": lambda one: one.asend(1),
            "throws": lambda one: one.athrow(DependencyError()),
        }
        with pytest.raises(StopAsyncIteration):
            await steps[way](stream)
    assert durations == [3]


async def test_a_stream_reads_no_clock_between_its_items_unless_its_duration_is_measured() -> None:
    readings = []

    def clock() -> float:
        readings.append(0.0)
        return 0.0

    breaker = CircuitBreaker(clock=clock)
    function = breaker(scripted)
    await take_first_samples(breaker)
    readings.clear()
    steps = [Step(waits=False, does="yield", value=1, swallows=False)] * 5
    assert len([item async for item in function(steps, [])]) == 5
    assert readings == []


@each_kind
@pytest.mark.parametrize("backend", BACKENDS)
def test_an_abandoned_stream_is_closed_by_the_event_loop(kind: Kind, backend: str, clock: ManualClock) -> None:
    log = []

    async def source() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            log.append("closed")

    async def main() -> None:
        breaker = await kind(clock)
        streams = [breaker(source)()]
        await anext(streams[0])
        before = totals(breaker).get("success", 0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # trio's, about the generators
            drop(streams)
            await anyio.wait_all_tasks_blocked()
        log.append(totals(breaker)["success"] - before)

    anyio.run(main, backend=backend)
    assert log == ["closed", 1]


@each_kind
def test_an_abandoned_stream_whose_event_loop_is_gone_is_leaked(kind: Kind, clock: ManualClock) -> None:
    async def main() -> CircuitBreaker:
        breaker = await kind(clock)
        streams.append(breaker(numbers)())
        await anext(streams[0])
        return breaker

    async def numbers() -> AsyncIterator[int]:
        yield 1

    streams: list[Any] = []
    loop = asyncio.new_event_loop()
    breaker = loop.run_until_complete(main())
    loop.close()
    with pytest.warns(ResourceWarning, match="payments"):
        drop(streams)
    breaker.reset()  # which releases what has leaked
    assert totals(breaker)["leaked"] == 1


async def test_failed_result_is_not_asked_about_the_items_of_a_stream(clock: ManualClock) -> None:
    asked: list[object] = []
    breaker = make(clock, failed_result=asked.append)

    async def numbers() -> AsyncIterator[int]:
        for number in range(3):
            yield number

    assert [number async for number in breaker(numbers)()] == [0, 1, 2]
    assert asked == []
