"""The transports for httpx and httpx2: probes, cancellation, and responses that nobody looks after."""

import asyncio
import gc

import anyio
import pytest

from recloser import CircuitBreakerOpenError, CircuitState, SlowCallRate
from recloser.testing import ManualClock, half_open_breaker, open_breaker
from tests.integrations.conftest import Library
from tests.integrations.kit import LEFT_EARLY, client_of, one, totals
from tests.integrations.upstream import HEAD_OF_EVENTS, HEAD_OF_TEN, Upstream, answer, hang, reset, trickle

pytestmark = [pytest.mark.anyio, LEFT_EARLY]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_000.0)


def drop(box: list[object]) -> None:
    """Makes garbage of what is in the box, and has it collected."""
    box.clear()
    gc.collect()


async def test_a_probe_holds_its_permit_until_the_first_chunk_of_its_body(
    library: Library, upstream: Upstream, clock: ManualClock
) -> None:
    breaker = one(clock=clock)
    rest = anyio.Event()
    upstream.scripts["/"] = trickle(HEAD_OF_TEN, b"1234567890", rest)
    await half_open_breaker(breaker, clock)
    async with client_of(library, breaker) as client, client.stream("GET", upstream.url()) as response:
        chunks = response.aiter_raw()
        assert breaker.state is CircuitState.HALF_OPEN
        with pytest.raises(CircuitBreakerOpenError):
            await client.get(upstream.url("/other"))
        assert "/other" not in upstream.hits
        rest.set()
        await anext(chunks)
        assert breaker.state is CircuitState.CLOSED
        assert [chunk async for chunk in chunks] == []
    assert breaker.health()["success_total"] == 2


async def test_a_silent_event_stream_is_settled_by_its_head_and_shuts_nobody_out(
    library: Library, upstream: Upstream, clock: ManualClock
) -> None:
    breaker = one(clock=clock, probe_timeout_seconds=10)
    upstream.scripts["/events"] = hang(HEAD_OF_EVENTS)
    upstream.scripts["/"] = answer("200 OK")
    await half_open_breaker(breaker, clock)
    async with client_of(library, breaker) as client, client.stream("GET", upstream.url("/events")):
        assert breaker.state is CircuitState.CLOSED
        for _ in range(3):
            clock.advance(600)
            assert (await client.get(upstream.url())).status_code == 200
    assert breaker.state is CircuitState.CLOSED
    assert breaker.health()["failure_total"] == 1


@pytest.mark.parametrize(("head", "chunk"), [(HEAD_OF_EVENTS, b"data: 1\n\n"), (HEAD_OF_TEN, b"12345")])
async def test_a_probe_whose_body_breaks_off_later_is_one_failure_of_the_closed_breaker(
    library: Library, upstream: Upstream, clock: ManualClock, head: bytes, chunk: bytes
) -> None:
    breaker, begun = one(clock=clock), anyio.Event()
    upstream.scripts["/"] = reset(head, chunk, when=begun)
    await half_open_breaker(breaker, clock)
    async with client_of(library, breaker) as client:
        with pytest.raises((library.web.ReadError, library.web.RemoteProtocolError)):
            await reading(client, upstream.url(), begun)
    assert breaker.health()["failure_total"] == 2
    assert breaker.health()["success_total"] == 1
    assert breaker.state is CircuitState.OPEN


async def test_a_failing_status_ends_a_probe_at_once(library: Library, upstream: Upstream, clock: ManualClock) -> None:
    breaker = one(clock=clock)
    upstream.scripts["/"] = answer("503 Service Unavailable")
    await half_open_breaker(breaker, clock)
    async with client_of(library, breaker) as client:
        await client.get(upstream.url())
    assert breaker.state is CircuitState.OPEN
    assert breaker.health()["probes_in_flight"] == 0


async def test_a_probe_whose_body_has_begun_has_no_time_limit(
    library: Library, upstream: Upstream, clock: ManualClock
) -> None:
    breaker = one(clock=clock, probe_timeout_seconds=10)
    upstream.scripts["/"] = hang(HEAD_OF_TEN, b"12345")
    await half_open_breaker(breaker, clock)
    async with client_of(library, breaker) as client, client.stream("GET", upstream.url()) as response:
        chunks = response.aiter_raw()
        await anext(chunks)
        clock.advance(10)
        await client.get(upstream.url("/other"))
        assert breaker.state is CircuitState.CLOSED
        await chunks.aclose()
    gc.collect()


async def test_the_time_of_the_reader_is_none_of_the_exchange_s(
    library: Library, upstream: Upstream, clock: ManualClock
) -> None:
    rule = SlowCallRate(1.0, slow_call_seconds=1, minimum_calls=1)
    breaker = one(clock=clock, failure_threshold=None, trip_when=rule)
    rest = anyio.Event()
    upstream.scripts["/"] = trickle(HEAD_OF_TEN + b"12345", b"67890", rest)
    async with client_of(library, breaker) as client:
        async with client.stream("GET", upstream.url()) as response:
            async for _ in response.aiter_raw():
                clock.advance(100)
                rest.set()
        assert breaker.health()["slow_call_rate"] == 0.0
        async with client.stream("GET", upstream.url()) as response:
            chunks = response.aiter_raw()
            await anext(chunks)
            clock.advance(100)
            await chunks.aclose()
        assert breaker.health()["slow_call_rate"] == 0.0
    gc.collect()


async def reading(client: object, url: str, begun: anyio.Event) -> None:
    """Reads a body whose first chunk sets the event."""
    async with client.stream("GET", url) as response:
        async for _ in response.aiter_raw():
            begun.set()


async def test_a_probe_that_is_cancelled_before_the_headers_is_ignored(
    library: Library, upstream: Upstream, clock: ManualClock
) -> None:
    breaker, sent = one(clock=clock), anyio.Event()
    upstream.scripts["/"] = hang(when_called=sent)
    await half_open_breaker(breaker, clock)
    async with client_of(library, breaker) as client, anyio.create_task_group() as group:
        group.start_soon(client.get, upstream.url())
        await sent.wait()
        group.cancel_scope.cancel()
    assert breaker.health()["probes_in_flight"] == 0
    assert breaker.health()["cancelled_total"] == 1
    assert breaker.state is CircuitState.HALF_OPEN


async def test_a_probe_that_is_cancelled_in_the_middle_of_its_body_has_passed(
    library: Library, upstream: Upstream, clock: ManualClock
) -> None:
    breaker, begun = one(clock=clock), anyio.Event()
    upstream.scripts["/"] = hang(HEAD_OF_TEN, b"12345")
    await half_open_breaker(breaker, clock)
    async with client_of(library, breaker) as client, anyio.create_task_group() as group:
        group.start_soon(reading, client, upstream.url(), begun)
        await begun.wait()
        group.cancel_scope.cancel()
    assert breaker.health()["probes_in_flight"] == 0
    assert breaker.health()["cancelled_total"] == 1
    assert breaker.state is CircuitState.CLOSED


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_bare_cancellation_in_the_middle_of_a_body_is_ignored(
    library: Library, upstream: Upstream, clock: ManualClock
) -> None:
    breaker, begun = one(clock=clock), anyio.Event()
    upstream.scripts["/"] = hang(HEAD_OF_TEN, b"12345")
    await half_open_breaker(breaker, clock)
    async with client_of(library, breaker) as client:
        task = asyncio.ensure_future(reading(client, upstream.url(), begun))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert breaker.health()["probes_in_flight"] == 0
    assert breaker.health()["cancelled_total"] == 1


@pytest.mark.parametrize("parts", [(), (HEAD_OF_TEN, b"12345")])
async def test_a_deadline_around_an_exchange_that_is_overdue_is_a_failure(
    library: Library, upstream: Upstream, parts: tuple[bytes, ...]
) -> None:
    breaker = one()
    upstream.scripts["/"] = hang(*parts)
    async with client_of(library, breaker) as client:
        with anyio.move_on_after(0.15):
            await client.get(upstream.url())
    assert totals(breaker) == {"failure": 1, "overdue": 1}


@pytest.mark.parametrize("parts", [(HEAD_OF_EVENTS,), (HEAD_OF_EVENTS, b"data: 1\n\n")], ids=["silent", "begun"])
@pytest.mark.parametrize(("method", "outcome"), [("POST", "failure"), ("GET", "cancelled")])
async def test_a_deadline_that_ends_an_event_stream_is_a_failure_unless_it_is_a_subscription(
    library: Library, upstream: Upstream, parts: tuple[bytes, ...], method: str, outcome: str
) -> None:
    breaker = one()
    upstream.scripts["/"] = hang(*parts)
    async with client_of(library, breaker) as client:
        with anyio.move_on_after(0.15):
            async with client.stream(method, upstream.url()) as response:
                async for _ in response.aiter_raw():
                    pass
    assert totals(breaker) == {outcome: 1, **({"overdue": 1} if outcome == "failure" else {})}


async def test_an_event_stream_that_breaks_is_a_failure(library: Library, upstream: Upstream) -> None:
    breaker, begun = one(), anyio.Event()
    upstream.scripts["/"] = reset(HEAD_OF_EVENTS, b"data: 1\n\n", when=begun)
    async with client_of(library, breaker) as client:
        with pytest.raises(library.web.ReadError):
            await reading(client, upstream.url(), begun)
    assert totals(breaker) == {"failure": 1}


async def test_a_response_that_nobody_closes_is_released_and_counted_as_leaked(
    library: Library, upstream: Upstream, clock: ManualClock
) -> None:
    breaker = one(clock=clock)
    await half_open_breaker(breaker, clock)
    async with client_of(library, breaker) as client:
        response = await client.send(client.build_request("GET", upstream.url()), stream=True)
        assert breaker.health()["probes_in_flight"] == 1
        responses = [response]
        del response
        with pytest.warns(ResourceWarning, match="a permit of circuit breaker 'api' was dropped"):
            drop(responses)
        assert breaker.health()["leaked_total"] == 1
        assert (await client.get(upstream.url())).status_code == 200
    assert breaker.state is CircuitState.CLOSED


async def test_an_open_breaker_in_shadow_mode_rejects_nothing(library: Library, upstream: Upstream) -> None:
    breaker = one(shadow=True)
    await open_breaker(breaker)
    async with client_of(library, breaker) as client:
        assert (await client.get(upstream.url())).status_code == 200
    assert breaker.state is CircuitState.OPEN


async def test_a_function_and_the_client_that_it_calls_may_share_a_breaker(
    library: Library, upstream: Upstream, clock: ManualClock
) -> None:
    breaker = one(clock=clock)
    await half_open_breaker(breaker, clock)
    async with client_of(library, breaker) as client:
        assert (await breaker.call(client.get, upstream.url())).status_code == 200
    assert breaker.state is CircuitState.CLOSED
