"""What the reader of a stream throws into it is the reader's error, unless it comes from what the stream delivered."""

import asyncio
import gc
import socket
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import Annotated, NoReturn, Self

import anyio
import httpx
import pytest
from fastapi import Depends, FastAPI, HTTPException
from fastapi.responses import StreamingResponse

from recloser import Bulkhead, CircuitBreaker, CircuitState, RateLimit
from recloser.lowlevel import leaves
from recloser.testing import ManualClock
from tests.breaker.kit import DependencyError, make, make_ready, totals

pytestmark = pytest.mark.anyio

Raise = Callable[["Session"], Awaitable[object]]


class NotFoundError(Exception):
    """An error of the reader's own."""


class Session:
    """What a source delivers to its reader."""

    async def execute(self, error: BaseException | None = None) -> None:
        await anyio.lowlevel.checkpoint()
        if error is not None:
            await self._raise(error)

    async def hang(self) -> None:
        await anyio.sleep_forever()

    @staticmethod
    async def _raise(error: BaseException) -> NoReturn:
        raise error


async def plain() -> AsyncIterator[Session]:
    yield Session()


async def with_cleanup() -> AsyncIterator[Session]:
    try:
        yield Session()
    except Exception:
        await anyio.lowlevel.checkpoint()
        raise


async def in_a_task_group() -> AsyncIterator[Session]:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anyio.sleep_forever)
        try:
            yield Session()
        finally:
            tasks.cancel_scope.cancel()


async def that_catches_and_raises_later() -> AsyncGenerator[Session, None]:
    try:
        yield Session()
    except NotFoundError as exc:
        caught = exc
    yield Session()
    raise caught


SOURCES = [plain, with_cleanup, in_a_task_group]
each_source = pytest.mark.parametrize("source", SOURCES)


Scope = AbstractAsyncContextManager[Session]


def scope(breaker: CircuitBreaker, source: Callable[[], AsyncIterator[Session]] = plain) -> Callable[[], Scope]:
    return asynccontextmanager(breaker(source))


async def use(scope: Scope, body: Raise) -> BaseException | None:
    """Runs a body in a scope; returns what comes out of it."""
    try:
        async with scope as session:
            await body(session)
    except BaseException as exc:  # noqa: BLE001 - returned
        return exc
    return None


def raising(error: BaseException) -> Raise:
    async def body(_session: Session) -> NoReturn:
        raise error

    return body


def wrapping(error: BaseException, *, how: str = "from") -> Raise:
    """Makes a body whose own code catches an error, and turns it into another one."""

    async def body(_session: Session) -> None:
        try:
            raise error
        except type(error) as caught:
            if how == "from":
                raise NotFoundError from caught
            if how == "from None":
                raise NotFoundError from None
            raise NotFoundError  # noqa: B904 - the point

    return body


def turning_into_not_found(error: BaseException) -> Raise:
    """Makes a body that turns an error of the session into one of its own."""

    async def body(session: Session) -> None:
        try:
            await session.execute(error)
        except type(error):
            raise NotFoundError from None

    return body


@each_source
@pytest.mark.parametrize(
    "error", [NotFoundError(), ConnectionError("to another service"), ExceptionGroup("", [NotFoundError()])]
)
async def test_an_error_of_the_reader_ends_the_call_like_an_early_close(
    clock: ManualClock, source: Callable[[], AsyncIterator[Session]], error: Exception
) -> None:
    breaker = make(clock)
    found = await use(scope(breaker, source)(), raising(error))
    assert found is not None
    assert [*leaves(found)] == [*leaves(error)]
    assert totals(breaker) == {"success": 1}


@pytest.mark.parametrize("error", [StopIteration(), StopAsyncIteration()])
async def test_an_error_that_python_replaces_on_its_way_through_is_the_readers(
    clock: ManualClock, error: Exception
) -> None:
    breaker = make(clock)
    stream = breaker(plain)()
    await anext(stream)
    with pytest.raises(RuntimeError):
        await stream.athrow(error)
    assert totals(breaker) == {"success": 1}


@pytest.mark.parametrize("error", [KeyboardInterrupt(), asyncio.CancelledError()])
async def test_what_ends_the_reader_is_no_error_of_the_source(clock: ManualClock, error: BaseException) -> None:
    breaker = make(clock, overdue_after_seconds=0)
    stream = breaker(plain)()
    await anext(stream)
    with pytest.raises(type(error)):
        await stream.athrow(error)
    assert totals(breaker) == {"success": 1}


async def test_a_reader_that_is_cancelled_is_no_failure(clock: ManualClock) -> None:
    breaker = make(clock, overdue_after_seconds=0)
    with anyio.move_on_after(0):
        async with scope(breaker)():
            await anyio.sleep_forever()
    assert totals(breaker) == {"success": 1}


async def test_an_error_of_the_reader_is_recognised_when_the_source_raises_it_later(clock: ManualClock) -> None:
    breaker, error = make(clock), NotFoundError()
    async with aclosing(breaker(that_catches_and_raises_later)()) as stream:
        await anext(stream)
        await stream.athrow(error)
        with pytest.raises(NotFoundError):
            await anext(stream)
    assert totals(breaker) == {"success": 1}


async def test_an_error_of_the_reader_is_no_success_of_a_later_generation(clock: ManualClock) -> None:
    breaker = make(clock)
    async with aclosing(breaker(plain)()) as stream:
        await anext(stream)
        breaker.reset()
        with pytest.raises(NotFoundError):
            await stream.athrow(NotFoundError())
    assert totals(breaker) == {"late": 1}


async def test_what_is_thrown_before_the_first_item_admits_nothing(clock: ManualClock) -> None:
    breaker = await make_ready(clock)
    stream = breaker(plain)()
    with pytest.raises(NotFoundError):
        await stream.athrow(NotFoundError())
    assert breaker.state is CircuitState.OPEN


async def test_an_error_of_the_reader_of_a_probe_closes_the_breaker_as_an_early_close_does(clock: ManualClock) -> None:
    breaker = await make_ready(clock)
    assert isinstance(await use(scope(breaker)(), raising(NotFoundError())), NotFoundError)
    assert breaker.state is CircuitState.CLOSED


async def that_fails_to_roll_back() -> AsyncIterator[Session]:
    try:
        yield Session()
    finally:
        raise DependencyError("while it rolls back")


async def that_raises_from_what_was_thrown() -> AsyncIterator[Session]:
    try:
        yield Session()
    except NotFoundError as exc:
        raise DependencyError from exc


async def whose_task_group_fails_too() -> AsyncIterator[Session]:
    async def fail_when_cancelled() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise DependencyError("while it is closed")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(fail_when_cancelled)
        await anyio.wait_all_tasks_blocked()
        yield Session()


@pytest.mark.parametrize(
    "source", [that_fails_to_roll_back, that_raises_from_what_was_thrown, whose_task_group_fails_too]
)
async def test_an_error_that_the_source_raises_in_place_of_the_readers_is_its_own(
    clock: ManualClock, source: Callable[[], AsyncIterator[Session]]
) -> None:
    breaker = make(clock)
    await use(scope(breaker, source)(), raising(NotFoundError()))
    assert totals(breaker) == {"failure": 1}


async def test_of_a_group_only_the_leaves_of_the_source_are_judged(clock: ManualClock) -> None:
    breaker = make(clock, expected_exception=NotFoundError)
    found = await use(scope(breaker, whose_task_group_fails_too)(), raising(NotFoundError()))
    assert isinstance(found, ExceptionGroup)
    assert totals(breaker) == {"success": 1}  # a DependencyError is none of the failures


async def test_an_error_that_a_method_of_the_item_raised_is_the_sources(clock: ManualClock) -> None:
    breaker, error = make(clock), DependencyError("down")
    assert await use(scope(breaker)(), lambda session: session.execute(error)) is error
    assert breaker.state is CircuitState.OPEN


async def test_an_error_that_a_method_of_the_item_raised_is_the_sources_whatever_the_reader_makes_of_it(
    clock: ManualClock,
) -> None:
    breaker = make(clock)
    found = await use(scope(breaker)(), turning_into_not_found(DependencyError("down")))
    assert isinstance(found, NotFoundError)
    assert breaker.state is CircuitState.OPEN
    assert "DependencyError" in breaker.explain()


async def test_an_error_of_the_item_that_is_not_expected_is_no_failure(clock: ManualClock) -> None:
    breaker = make(clock, expected_exception=ConnectionError)
    await use(scope(breaker)(), turning_into_not_found(LookupError()))
    assert totals(breaker) == {"success": 1}


async def test_a_time_limit_of_the_reader_counts_if_a_method_of_the_item_exceeds_it(clock: ManualClock) -> None:
    async def body(session: Session) -> None:
        with anyio.fail_after(0.001):
            await session.hang()

    breaker = make(clock)
    assert isinstance(await use(scope(breaker)(), body), TimeoutError)
    assert totals(breaker) == {"failure": 1}


async def test_a_time_limit_of_the_reader_does_not_count_if_something_else_exceeds_it(clock: ManualClock) -> None:
    async def body(_session: Session) -> None:
        with anyio.fail_after(0.001):
            await anyio.sleep_forever()

    breaker = make(clock)
    assert isinstance(await use(scope(breaker)(), body), TimeoutError)
    assert totals(breaker) == {"success": 1}


@pytest.mark.parametrize("how", ["from", "from None", "in a handler"])
@pytest.mark.parametrize("expected", [DependencyError, (DependencyError, OSError), lambda exc: "down" in str(exc)])
async def test_an_error_of_the_reader_that_wraps_a_named_one_is_the_sources(
    clock: ManualClock, expected: object, how: str
) -> None:
    breaker = make(clock, expected_exception=expected)
    found = await use(scope(breaker)(), wrapping(DependencyError("down"), how=how))
    assert isinstance(found, NotFoundError)
    assert totals(breaker) == {"failure": 1}


async def test_a_named_error_is_found_behind_a_group_and_another_error(clock: ManualClock) -> None:
    async def body(session: Session) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wrapping(DependencyError("down")), session)

    breaker = make(clock, expected_exception=DependencyError)
    assert isinstance(await use(scope(breaker)(), body), ExceptionGroup)
    assert totals(breaker) == {"failure": 1}


async def test_a_named_error_that_the_reader_throws_itself_is_the_readers(clock: ManualClock) -> None:
    breaker = make(clock, expected_exception=DependencyError)
    await use(scope(breaker)(), raising(ExceptionGroup("", [DependencyError("of another service")])))
    assert totals(breaker) == {"success": 1}


@pytest.mark.parametrize(
    ("error", "total"),
    [
        (ConnectionResetError(), "failure"),
        (socket.gaierror(), "failure"),
        (KeyError("row"), "success"),
        (TimeoutError(), "success"),
        (httpx.ConnectError("another service"), "success"),
    ],
)
async def test_only_a_network_error_counts_behind_one_of_the_reader_if_every_exception_is_expected(
    clock: ManualClock, error: Exception, total: str
) -> None:
    breaker = make(clock)
    await use(scope(breaker)(), wrapping(error))
    assert totals(breaker) == {total: 1}


async def test_a_network_error_deeper_behind_one_of_the_reader_does_not_count(clock: ManualClock) -> None:
    error = httpx.ConnectError("another service")
    error.__cause__ = ConnectionRefusedError()
    breaker = make(clock, expected_exception=(Exception,))
    await use(scope(breaker)(), wrapping(error))
    assert totals(breaker) == {"success": 1}


@pytest.mark.parametrize("expected", [Exception, ConnectionError])
async def test_an_error_that_the_reader_was_handling_before_the_stream_began_does_not_count(
    clock: ManualClock, expected: type[Exception]
) -> None:
    breaker = make(clock, expected_exception=expected)
    try:
        raise ConnectionError("from an earlier call")  # noqa: TRY301 - it is handled here
    except ConnectionError:
        found = await use(scope(breaker)(), raising(NotFoundError()))
    assert found is not None
    assert isinstance(found.__context__, ConnectionError)
    assert totals(breaker) == {"success": 1}


async def test_a_predicate_that_raises_about_an_error_behind_makes_it_a_failure(clock: ManualClock) -> None:
    def predicate(exc: BaseException) -> bool:
        raise RuntimeError(exc)

    breaker = make(clock, expected_exception=predicate)
    await use(scope(breaker)(), wrapping(DependencyError()))
    assert totals(breaker) == {"failure": 1}


@pytest.mark.parametrize("item", [None, "session", 0])
async def test_an_item_without_methods_of_its_own_raises_nothing(clock: ManualClock, item: object) -> None:
    async def source() -> AsyncIterator[object]:
        yield item

    breaker = make(clock)
    await use(scope(breaker, source)(), lambda _item: Session().execute(NotFoundError()))
    assert totals(breaker) == {"success": 1}


async def test_a_reader_that_is_a_method_of_the_item_is_a_reader_all_the_same(clock: ManualClock) -> None:
    breaker = make(clock)

    class Client:
        @asynccontextmanager
        @breaker
        async def transaction(self) -> AsyncIterator[Self]:
            yield self

        async def find(self) -> None:
            async with self.transaction():
                raise NotFoundError

    with pytest.raises(NotFoundError):
        await Client().find()
    assert totals(breaker) == {"success": 1}


@pytest.mark.parametrize("catches", [True, False])
async def test_an_exception_that_was_thrown_is_not_kept_alive(clock: ManualClock, *, catches: bool) -> None:
    async def source() -> AsyncIterator[int]:
        try:
            yield 1
        except NotFoundError:
            if not catches:
                raise

    gc.disable()
    try:
        stream = make(clock)(source)()
        await anext(stream)
        error = NotFoundError()
        dead = weakref.ref(error)
        with pytest.raises((NotFoundError, StopAsyncIteration)) as caught:
            await stream.athrow(error)
        del error, stream, caught
        assert dead() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("policy", [Bulkhead(1), RateLimit(100, 1.0)], ids=repr)
async def test_a_policy_is_left_whoever_raised(policy: Bulkhead | RateLimit) -> None:
    for _ in range(2):
        error = NotFoundError()
        assert await use(asynccontextmanager(policy(plain))(), raising(error)) is error


def application(breaker: CircuitBreaker) -> FastAPI:
    """Makes an application whose endpoints depend on a protected generator."""
    app, dependency = FastAPI(), Annotated[Session, Depends(breaker(plain))]

    @app.get("/missing")
    async def missing(_session: dependency) -> None:
        raise HTTPException(404)

    @app.get("/missing-key")
    async def missing_key(_session: dependency) -> None:
        try:
            {}["row"]
        except KeyError as exc:
            raise HTTPException(404) from exc

    @app.get("/down")
    async def down(session: dependency) -> None:
        try:
            await session.execute(DependencyError())
        except DependencyError:
            raise HTTPException(503) from None

    @app.get("/stream")
    async def stream(session: dependency) -> StreamingResponse:
        async def rows() -> AsyncIterator[bytes]:
            await session.execute()
            yield b"row"

        return StreamingResponse(rows())

    return app


@pytest.mark.parametrize(
    ("path", "status", "total"),
    [
        ("/missing", 404, "success"),
        ("/missing-key", 404, "success"),
        ("/down", 503, "failure"),
        ("/stream", 200, "success"),
    ],
)
async def test_a_dependency_of_fastapi_is_judged_by_its_own_errors(
    clock: ManualClock, path: str, status: int, total: str
) -> None:
    breaker = make(clock, failure_threshold=3)
    transport = httpx.ASGITransport(application(breaker))
    async with httpx.AsyncClient(transport=transport, base_url="http://example.org") as client:
        for _ in range(2):
            assert (await client.get(path)).status_code == status
    assert totals(breaker) == {total: 2}
