"""`async with breaker.events() as stream`: events as an asynchronous iterator."""

import asyncio

import anyio
import pytest

from recloser import CircuitBreaker, CircuitState, Event
from recloser.events import CallSucceeded, EventsDropped, ProbeAdmitted
from recloser.testing import ManualClock
from tests.breaker.kit import BACKENDS, answer, make, make_ready, take_first_samples

pytestmark = pytest.mark.anyio

PATIENCE_SECONDS = 60.0
"""How long a test waits for what should happen at once, so that a failing test ends."""


async def take(stream: object, count: int) -> list[Event]:
    with anyio.fail_after(PATIENCE_SECONDS):
        return [await anext(stream) for _ in range(count)]


async def succeed(breaker: CircuitBreaker, times: int = 1) -> None:
    for _ in range(times):
        await breaker.call(answer)


def generations(events: list[Event]) -> list[object]:
    return [event.count if isinstance(event, EventsDropped) else event.snapshot.generation for event in events]


async def test_a_stream_yields_every_event_in_order(clock: ManualClock) -> None:
    breaker = await make_ready(clock)
    async with breaker.events() as stream:
        await succeed(breaker)
        names = [type(event).__name__ for event in await take(stream, 4)]
    assert names == ["StateChanged", "ProbeAdmitted", "CallSucceeded", "StateChanged"]


async def test_a_stream_can_be_iterated_in_a_task_of_its_own(clock: ManualClock) -> None:
    breaker, states = await make_ready(clock), []

    async def watch(stream: object) -> None:
        states.extend([getattr(event, "new", type(event)) async for event in stream])

    with anyio.fail_after(PATIENCE_SECONDS):
        async with anyio.create_task_group() as tasks, breaker.events() as stream:
            tasks.start_soon(watch, stream)
            await succeed(breaker)
            await anyio.wait_all_tasks_blocked()
    assert states == [CircuitState.HALF_OPEN, ProbeAdmitted, CallSucceeded, CircuitState.CLOSED]


async def test_a_stream_gets_no_event_from_before_it_was_entered(clock: ManualClock) -> None:
    breaker = make(clock)
    breaker.reset()
    async with breaker.events() as stream:
        breaker.reset()
        assert generations(await take(stream, 1)) == [2]


async def test_a_stream_that_is_not_entered_costs_nothing(clock: ManualClock) -> None:
    breaker = make(clock)
    stream = breaker.events()
    breaker.reset()
    async with stream:
        breaker.reset()
        assert generations(await take(stream, 1)) == [2]


async def test_a_slow_reader_loses_the_oldest_events_and_gets_their_number(clock: ManualClock) -> None:
    breaker = make(clock)
    async with breaker.events(max_buffer=2) as stream:
        for _ in range(5):
            breaker.reset()
        dropped, *rest = await take(stream, 3)
    assert isinstance(dropped, EventsDropped)
    assert generations([dropped, *rest]) == [3, 4, 5]
    assert str(dropped) == "3 events of 'payments' lost: the reader was too slow"


async def test_a_loss_is_reported_in_the_place_of_the_lost_events(clock: ManualClock) -> None:
    breaker = make(clock)
    async with breaker.events(max_buffer=2) as stream:
        breaker.reset()
        first = await take(stream, 1)
        for _ in range(3):
            breaker.reset()
        assert generations([*first, *await take(stream, 3)]) == [1, 1, 3, 4]


async def test_a_loss_is_reported_once(clock: ManualClock) -> None:
    breaker = make(clock)
    async with breaker.events(max_buffer=1) as stream:
        breaker.reset()
        breaker.reset()
        await take(stream, 2)
        breaker.reset()
        assert generations(await take(stream, 1)) == [3]


async def test_two_losses_are_reported_separately(clock: ManualClock) -> None:
    breaker, counts = make(clock), []
    async with breaker.events(max_buffer=1) as stream:
        for losses in (2, 4):
            for _ in range(losses + 1):
                breaker.reset()
            counts.append((await take(stream, 2))[0].count)
    assert counts == [2, 4]


async def test_a_stream_never_makes_a_call_wait(clock: ManualClock) -> None:
    breaker = make(clock)
    async with breaker.events(max_buffer=1):
        with anyio.CancelScope() as scope:
            scope.cancel()
            await succeed(breaker, 100)
    assert breaker.health()["success_total"] == 100


async def test_a_cancelled_reader_loses_no_event(clock: ManualClock) -> None:
    breaker = make(clock)
    async with breaker.events() as stream:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await anext(stream)
        breaker.reset()
        with anyio.move_on_after(0):
            await anext(stream)
        assert generations(await take(stream, 1)) == [1]


async def test_a_reader_cancelled_in_the_step_in_which_an_event_comes_loses_no_event(clock: ManualClock) -> None:
    breaker, read = make(clock), []
    async with breaker.events() as stream:

        async def reader(scope: anyio.CancelScope) -> None:
            with scope:
                read.append(await anext(stream))

        scope = anyio.CancelScope()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(reader, scope)
            await anyio.wait_all_tasks_blocked()
            breaker.reset()
            scope.cancel()
        assert generations([*read, *await take(stream, 1 - len(read))]) == [1]


def test_a_reader_whose_task_is_cancelled_in_the_step_in_which_an_event_comes_loses_no_event(
    clock: ManualClock,
) -> None:
    async def main() -> None:
        breaker = make(clock)
        async with breaker.events() as stream:
            reader = asyncio.ensure_future(anext(stream))
            await anyio.wait_all_tasks_blocked()
            breaker.reset()
            reader.cancel()
            read = [event for event in await asyncio.gather(reader, return_exceptions=True) if isinstance(event, Event)]
            assert generations([*read, *await take(stream, 1 - len(read))]) == [1]

    asyncio.run(main())


async def test_a_loss_is_still_reported_after_the_reader_was_cancelled(clock: ManualClock) -> None:
    breaker = make(clock)
    async with breaker.events(max_buffer=1) as stream:
        breaker.reset()
        breaker.reset()
        with anyio.move_on_after(0):
            await anext(stream)
        assert generations(await take(stream, 2)) == [1, 2]


async def test_each_step_is_a_checkpoint_even_when_events_are_there(clock: ManualClock) -> None:
    breaker, read = make(clock), []
    async with breaker.events(max_buffer=1) as stream:
        for _ in range(3):
            breaker.reset()
        for _ in range(2):
            with anyio.CancelScope() as scope:
                scope.cancel()
                await anext(stream)
            assert scope.cancelled_caught
            read += await take(stream, 1)
    assert generations(read) == [2, 3]


async def test_two_streams_each_get_every_event(clock: ManualClock) -> None:
    breaker = make(clock)
    async with breaker.events() as one, breaker.events(max_buffer=1) as other:
        for _ in range(2):
            breaker.reset()
        assert (generations(await take(one, 2)), generations(await take(other, 2))) == ([1, 2], [1, 2])


async def test_two_readers_of_one_stream_share_its_events_and_lose_none(clock: ManualClock) -> None:
    breaker, read = make(clock), []
    async with breaker.events() as stream:

        async def reader() -> None:
            read.append(await anext(stream))

        for _ in range(10):
            async with anyio.create_task_group() as tasks:
                for _ in range(4):
                    tasks.start_soon(reader)
                await anyio.wait_all_tasks_blocked()
                for _ in range(4):
                    breaker.reset()
    assert [event for event in read if isinstance(event, EventsDropped)] == []
    assert sorted(generations(read)) == list(range(1, 41))


async def test_a_stream_that_is_closed_ends_the_loop_that_waits_for_its_next_event(clock: ManualClock) -> None:
    breaker, ended = make(clock), []

    async def watch(stream: object) -> None:
        async for _ in stream:
            pass
        ended.append(stream)

    with anyio.fail_after(PATIENCE_SECONDS):
        async with anyio.create_task_group() as tasks, breaker.events() as stream:
            tasks.start_soon(watch, stream)
            await anyio.wait_all_tasks_blocked()
    assert ended == [stream]


async def test_a_stream_that_is_closed_ends_a_loop_that_is_busy_with_an_event(clock: ManualClock) -> None:
    breaker, go_on, seen = make(clock), anyio.Event(), []

    async def watch(stream: object) -> None:
        async for event in stream:
            seen.append(event)
            await go_on.wait()
        seen.append("end")

    with anyio.fail_after(PATIENCE_SECONDS):
        async with anyio.create_task_group() as tasks:
            async with breaker.events() as stream:
                tasks.start_soon(watch, stream)
                breaker.reset()
                await anyio.wait_all_tasks_blocked()
            go_on.set()
    assert [type(item).__name__ for item in seen] == ["StateChanged", "str"]


async def test_a_closed_stream_yields_nothing_more(clock: ManualClock) -> None:
    breaker = make(clock)
    async with breaker.events(max_buffer=1) as stream:
        breaker.reset()
        breaker.reset()
        await anext(stream)
    assert [event async for event in stream] == []


async def test_a_stream_that_is_entered_again_reports_no_loss_from_while_it_was_closed(clock: ManualClock) -> None:
    breaker = make(clock)
    stream = breaker.events(max_buffer=1)
    async with stream:
        breaker.reset()
        breaker.reset()
        await anext(stream)
    async with stream:
        breaker.reset()
        assert generations(await take(stream, 1)) == [3]


async def test_a_stream_in_use_cannot_be_entered_again(clock: ManualClock) -> None:
    breaker = make(clock)
    async with breaker.events() as stream:
        with pytest.raises(RuntimeError, match="in use"):
            await stream.__aenter__()
        breaker.reset()
        assert generations(await take(stream, 1)) == [1]


async def test_a_stream_that_was_not_entered_cannot_be_read(clock: ManualClock) -> None:
    with pytest.raises(RuntimeError, match="async with"):
        await anext(make(clock).events())


async def test_leaving_a_stream_by_an_error_closes_it(clock: ManualClock) -> None:
    breaker = make(clock)
    with pytest.raises(LookupError):
        async with breaker.events() as stream:
            raise LookupError
    breaker.reset()
    assert [event async for event in stream] == []


async def test_leaving_a_stream_twice_changes_nothing(clock: ManualClock) -> None:
    breaker = make(clock)
    async with breaker.events() as other:
        async with breaker.events() as stream:
            pass
        await stream.__aexit__(None, None, None)
        breaker.reset()
        assert generations(await take(other, 1)) == [1]


async def test_after_a_stream_no_clock_is_read_on_the_closed_path(clock: ManualClock) -> None:
    readings = []
    breaker = CircuitBreaker(clock=lambda: readings.append(None) or clock())
    await take_first_samples(breaker)
    async with breaker.events():
        await succeed(breaker)
        assert readings.pop() is None
    readings.clear()
    await succeed(breaker)
    assert readings == []


@pytest.mark.parametrize("max_buffer", [0, -1])
async def test_a_buffer_without_room_is_refused(clock: ManualClock, max_buffer: int) -> None:
    with pytest.raises(ValueError, match="max_buffer must be an integer >= 1"):
        make(clock).events(max_buffer=max_buffer)


@pytest.mark.parametrize("max_buffer", [1.5, None, True, float("inf")])
async def test_a_buffer_that_is_no_number_of_events_is_refused(clock: ManualClock, max_buffer: object) -> None:
    with pytest.raises(TypeError, match="max_buffer must be an integer >= 1"):
        make(clock).events(max_buffer=max_buffer)


def test_streams_in_one_loop_after_another_work(clock: ManualClock) -> None:
    breaker = make(clock)

    async def read_one() -> object:
        async with breaker.events() as stream:
            breaker.reset()
            return (await take(stream, 1))[0].snapshot.generation

    read = [anyio.run(read_one, backend=backend) for backend in (*BACKENDS, *reversed(BACKENDS))]
    assert read == [1, 2, 3, 4]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_stream_whose_first_loop_has_ended_can_be_read_in_the_next(clock: ManualClock, backend: str) -> None:
    breaker = make(clock)
    stream = breaker.events()

    async def enter_and_give_up() -> None:
        await stream.__aenter__()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anext, stream)
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()

    async def read() -> list[Event]:
        read = []

        async def read_one() -> None:
            read.extend(await take(stream, 1))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read_one)
            await anyio.wait_all_tasks_blocked()
            breaker.reset()
        await stream.__aexit__(None, None, None)
        return read

    anyio.run(enter_and_give_up)
    assert generations(anyio.run(read, backend=backend)) == [1]


def test_a_reader_in_a_closed_loop_does_not_disturb_other_readers(clock: ManualClock) -> None:
    breaker, left, events = make(clock), [], []

    async def leave_a_reader() -> None:
        stream = breaker.events(max_buffer=1)
        await stream.__aenter__()
        reader = anext(stream)
        task = asyncio.ensure_future(reader)
        task.get_loop().set_exception_handler(lambda *_: None)  # the task is to be destroyed while it waits
        left.extend([stream, reader, task])
        await anyio.wait_all_tasks_blocked()

    loop = asyncio.new_event_loop()
    loop.run_until_complete(leave_a_reader())
    loop.close()
    breaker.subscribe(events.append)

    async def go_on() -> None:
        for _ in range(3):
            breaker.reset()

    asyncio.run(go_on())
    assert generations(events) == [1, 2, 3]
    left[1].close()
    asyncio.run(left[0].__aexit__(None, None, None))
