"""An interrupt between any two lines of the library costs a bulkhead no place: Ctrl-C, or what other threads raise."""

import asyncio
import gc
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from weakref import ref

import anyio
import anyio.lowlevel
import pytest

from recloser import Bulkhead
from recloser._policies.places import Hold, Places
from recloser.errors import BulkheadFullError
from tests.policies.kit import Dependency, in_usual_order
from tests.tear import small_heap, torn_at

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.filterwarnings(
        "ignore::ResourceWarning",
        "ignore:coroutine .* was never awaited:RuntimeWarning",
        "ignore::pytest.PytestUnraisableExceptionWarning",  # interrupted before an iteration was closed
    ),
]


@pytest.fixture(autouse=True)
def _quick_collections() -> Iterator[None]:
    with small_heap():
        yield


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, object]]:
    """No timer fires early, so a deadline that expires means that a call waits in vain."""
    return in_usual_order(request.param)


async def by_call(bulkhead: Bulkhead) -> None:
    await bulkhead.call(Dependency().ask)


async def by_decorated_call(bulkhead: Bulkhead) -> None:
    @bulkhead
    async def ask() -> None:
        await anyio.lowlevel.checkpoint()

    await ask()


async def by_stream(bulkhead: Bulkhead) -> None:
    @bulkhead
    async def numbers() -> AsyncIterator[int]:
        yield 1

    async for _ in numbers():
        pass


async def by_stream_closed_early(bulkhead: Bulkhead) -> None:
    @bulkhead
    async def numbers() -> AsyncIterator[int]:
        yield 1

    stream = numbers()
    await anext(stream)
    await stream.aclose()


async def by_two_calls(bulkhead: Bulkhead) -> None:
    """Makes two calls, of which the second one waits for the place of the first one."""

    async def call() -> None:
        with suppress(KeyboardInterrupt):
            await bulkhead.call(anyio.sleep, 1)

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            for _ in range(2):
                tasks.start_soon(call)


WAYS = [by_call, by_decorated_call, by_stream, by_stream_closed_early, by_two_calls]


@pytest.mark.parametrize("use", WAYS)
async def test_an_interrupted_call_gives_its_place_back(use: Callable[[Bulkhead], Awaitable[None]]) -> None:
    lost = []
    for line in itertools.count(1):
        bulkhead = Bulkhead(1, 1)
        with torn_at(line) as tear:
            await use(bulkhead)
        if tear.where is None:
            break
        gc.collect()
        await anyio.sleep(1)  # places that were dropped come back in the event loop
        if bulkhead.borrowed:
            lost.append(tear.where)
    assert lost == []
    assert line > 5


async def test_a_call_that_is_not_interrupted_leaves_nothing_to_a_finaliser(monkeypatch: pytest.MonkeyPatch) -> None:
    dropped: list[object] = []
    monkeypatch.setattr(Places, "_note_drop", lambda _, place: dropped.append(place))
    for use in WAYS:
        await use(Bulkhead(1, 1))
    bulkhead = Bulkhead(1)

    async def reject() -> None:
        with pytest.raises(BulkheadFullError):
            await bulkhead.call(anyio.sleep, 0)
        with pytest.raises(BulkheadFullError):
            await by_stream(bulkhead)

    await bulkhead.call(reject)
    gc.collect()
    assert dropped == []


def test_a_place_that_is_dropped_comes_back() -> None:
    places, hold = Places(1), Hold()
    assert places.take(ref(hold, places.on_drop))
    del hold
    assert places.taken == 0


async def test_a_call_that_is_dropped_while_it_waits_gets_no_place() -> None:
    places, first, waiting = Places(1), Hold(), Hold()
    place = ref(first, places.on_drop)
    assert places.take(place)
    assert places.queue(ref_of_waiting := ref(waiting, places.on_drop), 5) is not None
    del waiting
    assert ref_of_waiting() is None
    places.give(place)
    assert (places.taken, places.waiting) == (0, 0)


def test_a_place_that_is_dropped_comes_back_although_nobody_can_be_woken() -> None:
    places, holds = Places(1), [Hold(), Hold()]

    async def wait() -> None:
        assert places.take(ref(holds[0], places.on_drop))
        assert places.queue(ref(holds[1], places.on_drop), 5) is not None

    asyncio.run(wait())
    del holds[0]
    assert (places.taken, places.waiting) == (0, 0)
