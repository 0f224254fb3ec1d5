"""The updates that all clients share: how breakers are read, and when."""

import gc
from itertools import islice

import anyio
import anyio.lowlevel
import pytest

from recloser import BreakerRegistry
from recloser.dashboard import Dashboard
from recloser.dashboard._feed import UpdateFeed
from recloser.dashboard._timeline import TransitionListener
from tests.dashboard.kit import connected, registry_of, work

pytestmark = pytest.mark.anyio


async def test_a_client_that_leaves_while_breakers_are_read_leaves_nothing_half_read() -> None:
    application = Dashboard(registry_of(1_000))
    async with connected(application):
        await anyio.lowlevel.checkpoint()
    async with connected(application) as client:
        snapshot = await client.wait_for_event()
    assert (snapshot.kind, len(snapshot.data["breakers"])) == ("snapshot", 1_000)


async def test_breakers_that_go_while_others_are_read_are_passed_over() -> None:
    registry = registry_of(1_000, max_breakers=1_000)
    feed = UpdateFeed(registry, 1.0)
    async with anyio.create_task_group() as group:
        group.start_soon(feed.advance)
        while not dict(feed.entries(anyio.current_time())):
            await anyio.lowlevel.checkpoint()
        newcomers = {registry.breaker(f"newcomer-{number}").name for number in range(1_000)}
        gc.collect()
    first = dict(feed.entries(anyio.current_time()))
    assert 0 < len(first) < 1_000
    assert not newcomers & first.keys()
    await anyio.sleep(1)
    await feed.advance()
    assert dict(feed.entries(anyio.current_time())).keys() == newcomers


async def test_a_snapshot_is_of_one_moment_however_long_it_takes_to_be_written() -> None:
    registry = registry_of(300, failure_threshold=1_000_000)
    feed = UpdateFeed(registry, 1.0)
    await feed.advance()
    entries = feed.entries(anyio.current_time())
    first = dict(islice(entries, 100))
    for breaker in registry:
        await breaker.call(work)
    await anyio.sleep(1)
    await feed.advance()
    assert {entry["success_total"] for entry in [*first.values(), *(entry for _, entry in entries)]} == {0}
    assert {entry["success_total"] for _, entry in feed.entries(anyio.current_time())} == {1}


def test_a_dashboard_that_nobody_has_any_more_listens_to_nothing() -> None:
    def listeners() -> int:
        return sum(isinstance(each, TransitionListener) for each in gc.get_objects())

    gc.collect()
    registry, before = BreakerRegistry(), listeners()
    dashboards = [Dashboard(registry) for _ in range(5)]
    assert listeners() == before + 5
    dashboards.clear()
    gc.collect()
    assert listeners() == before


async def test_the_next_round_waits_for_its_time_however_sums_are_rounded() -> None:
    registry = registry_of(1)
    feed = UpdateFeed(registry, 0.1)
    await feed.advance()
    for _ in range(1_000):
        await anyio.sleep(0.1)
        await registry.breaker("host-0").call(work)
        await feed.advance()
        before = feed.ring.seq
        await feed.advance()
        assert feed.ring.seq == before
        assert feed.ring.has_all_after(before - 1)


@pytest.mark.parametrize("offset", [-1e6, 1e6])
async def test_a_dashboard_goes_on_in_another_event_loop_whose_clock_shows_something_else(offset: float) -> None:
    registry = registry_of(1)
    feed = UpdateFeed(registry, 1.0)
    await feed.advance()
    await registry.breaker("host-0").call(work)
    feed.due_at += offset
    before = feed.ring.seq
    await feed.advance()
    assert feed.ring.seq > before
    assert [entry["success_total"] for _, entry in feed.entries(anyio.current_time())] == [1]
