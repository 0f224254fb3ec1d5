"""The transports for httpx and httpx2: a response through a breaker behaves as one without it, however it is read."""

import gc
from contextlib import suppress
from typing import Any, NamedTuple

import anyio
import anyio.lowlevel
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recloser import CircuitBreaker
from tests.effort import FULL
from tests.integrations.conftest import Library
from tests.integrations.kit import LEFT_EARLY, one, totals
from tests.integrations.upstream_counted import CountedUpstream, counting

pytestmark = LEFT_EARLY

STEPS = (
    *("iterate", "iterate raw", "iterate bytes", "next", "next", "next", "drain", "leave", "drop", "throw"),
    *("read", "read synchronously", "iterate synchronously", "close", "close the body", "close synchronously", "again"),
)
GOOD = ("/ok", "/parts")
TIMEOUTS = {"/hang": 0.03}
READ_TIMEOUT = 0.5
"""Who reads on after the end of a body waits as long as that."""


class Plan(NamedTuple):
    """What is asked for, and what the reader then does."""

    path: str
    through_client: bool
    steps: list[tuple[str, int]]


class Seen(NamedTuple):
    """What a reader and its server have seen."""

    log: list[object]
    connections: int
    pool: str


PLANS = st.builds(
    Plan,
    st.sampled_from([*GOOD, *GOOD, "/reset", "/hang"]),
    st.booleans(),
    st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 2)), min_size=1, max_size=8),
)


async def collect() -> None:
    """Collects garbage, and lets the event loop close the generators in it."""
    gc.collect(0)
    for _ in range(9):
        await anyio.lowlevel.checkpoint()


class Reader:
    """Carries out the steps of a plan on one response."""

    def __init__(self, client: Any, response: Any, url: str) -> None:  # noqa: ANN401 - of httpx or httpx2
        self.client = client
        self.response = response
        self.url = url
        self.iterations: list[Any] = []

    async def step(self, name: str, number: int) -> object:
        """Takes a step, and returns what came of it: a value, or the type of an error."""
        try:
            return await getattr(self, name.replace(" ", "_"))(number)
        except Exception as exc:  # noqa: BLE001 - compared with that of the other response
            return type(exc).__name__

    def pick(self, number: int) -> Any:  # noqa: ANN401 - an iterator
        if not self.iterations:
            self.iterations.append(aiter(self.response.stream))
        return self.iterations[number % len(self.iterations)]

    async def iterate(self, _: int) -> None:
        self.iterations.append(aiter(self.response.stream))

    async def iterate_raw(self, _: int) -> None:
        self.iterations.append(self.response.aiter_raw())

    async def iterate_bytes(self, number: int) -> None:
        self.iterations.append(self.response.aiter_bytes(number + 1))

    async def next(self, number: int) -> bytes:
        return await anext(self.pick(number))

    async def drain(self, number: int) -> list[bytes]:
        return [chunk async for chunk in self.pick(number)]

    async def leave(self, number: int) -> None:
        await self.pick(number).aclose()

    async def throw(self, number: int) -> bytes:
        return await self.pick(number).athrow(KeyError)

    async def drop(self, number: int) -> None:
        with suppress(IndexError):
            self.iterations.pop(number)
        await collect()

    async def read(self, _: int) -> bytes:
        return await self.response.aread()

    async def read_synchronously(self, _: int) -> bytes:
        return self.response.read()

    async def iterate_synchronously(self, _: int) -> list[bytes]:
        return list(self.response.stream)

    async def close(self, _: int) -> None:
        await self.response.aclose()

    async def close_the_body(self, _: int) -> None:
        await self.response.stream.aclose()

    async def close_synchronously(self, _: int) -> None:
        self.response.close()

    async def again(self, _: int) -> bytes:
        return (await self.client.get(f"{self.url}/ok")).content


async def see(library: Library, upstream: CountedUpstream, plan: Plan, inner: Any, transport: Any) -> Seen:  # noqa: ANN401 - of httpx or httpx2
    """Has a reader carry out a plan, and returns what it and the server have seen."""
    before = upstream.connections
    timeout = library.web.Timeout(5, read=TIMEOUTS.get(plan.path, READ_TIMEOUT))
    async with library.web.AsyncClient(transport=transport, timeout=5) as client:
        request = client.build_request("GET", f"{upstream.url}{plan.path}", timeout=timeout)
        if plan.through_client:
            response = await client.send(request, stream=True)
        else:
            response = await transport.handle_async_request(request)
        reader = Reader(client, response, upstream.url)
        log = [await reader.step(*step) for step in plan.steps]
        log += [await reader.step(name, 0) for name in ("close", "again")]
        reader.iterations.clear()
        await collect()
        pool = vars(inner)["_pool"]
        with anyio.fail_after(5):
            while upstream.open != len(pool.connections):
                await anyio.lowlevel.checkpoint()
        return Seen(log, upstream.connections - before, repr(pool))


async def compare(library: Library, plan: Plan, breaker: CircuitBreaker, *, http2: bool) -> Seen:
    """Carries out a plan without and with a breaker."""
    seen = []
    async with counting(http2=http2) as upstream:
        for is_guarded in (False, True):
            inner = library.web.AsyncHTTPTransport(verify=False, http1=not http2, http2=http2)
            transport = library.transport(inner, breaker=breaker) if is_guarded else inner
            seen.append(await see(library, upstream, plan, inner, transport))
            with anyio.fail_after(5):
                while upstream.open:
                    await anyio.lowlevel.checkpoint()
    bare, guarded = seen
    assert guarded == bare
    return bare


@pytest.mark.parametrize("http2", [False, True], ids=["http1", "http2"])
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
@settings(
    max_examples=60 if FULL else 15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(plan=PLANS)
def test_a_response_through_a_breaker_behaves_as_one_without(
    library: Library, anyio_backend: str, *, http2: bool, plan: Plan
) -> None:
    breaker = one(failure_threshold=99)

    async def run() -> Seen:
        return await compare(library, plan, breaker, http2=http2)

    bare = anyio.run(run, backend=anyio_backend)
    counted = totals(breaker)
    requests = 2 + [name for name, _ in plan.steps].count("again")
    assert sum(counted.values()) == requests, counted
    errors = {kind.__name__ for kind in vars(library.web).values() if isinstance(kind, type)}
    assert counted.get("failure", 0) <= (plan.path not in GOOD and bool(errors.intersection(map(str, bare.log))))
