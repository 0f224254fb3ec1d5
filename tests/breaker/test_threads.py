"""`await breaker.call_in_thread(fn, ...)`: the thread's end settles the call."""

import asyncio
import contextvars
import functools
import gc
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from unittest.mock import AsyncMock, MagicMock

import anyio
import pytest

from recloser import CircuitBreaker, CircuitBreakerOpenError, CircuitState
from recloser._breaker.worker_thread import WorkerThreadCall
from recloser.errors import MisuseError
from recloser.testing import ManualClock
from tests.breaker.kit import DependencyError, answer, in_shadow, make, make_open, make_ready, totals

PATIENCE_SECONDS = 60.0
"""How long a thread waits for its test before it gives up, so that a failing test ends."""


class Work:
    """A blocking function that ends when the test says so."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error
        self.running = threading.Event()
        self.may_end = threading.Event()
        self.ended = threading.Event()

    def __call__(self) -> str:
        self.running.set()
        try:
            assert self.may_end.wait(PATIENCE_SECONDS)
            if self.error is not None:
                raise self.error
            return "answer"
        finally:
            self.ended.set()


@pytest.mark.anyio
async def test_the_result_of_the_function_is_returned(clock: ManualClock) -> None:
    breaker = make(clock)
    assert await breaker.call_in_thread(divmod, 7, 2) == (3, 1)
    assert totals(breaker) == {"success": 1}


@pytest.mark.anyio
async def test_the_function_runs_in_another_thread(clock: ManualClock) -> None:
    assert await make(clock).call_in_thread(threading.get_ident) != threading.get_ident()


@pytest.mark.anyio
async def test_the_function_sees_the_callers_context(clock: ManualClock) -> None:
    request = contextvars.ContextVar("request")
    request.set("r-1")
    assert await make(clock).call_in_thread(request.get) == "r-1"


@pytest.mark.anyio
async def test_keyword_arguments_named_like_the_methods_own_are_passed_on(clock: ManualClock) -> None:
    given = {"self": 1, "fn": 2, "args": 3, "kwargs": 4}
    assert await make(clock).call_in_thread(dict, **given) == given


@pytest.mark.anyio
async def test_an_error_in_the_thread_is_a_failure_and_comes_through(clock: ManualClock) -> None:
    breaker, error, work = make(clock), DependencyError(), Work()
    work.error = error
    work.may_end.set()
    with pytest.raises(DependencyError) as caught:
        await breaker.call_in_thread(work)
    assert caught.value is error
    assert breaker.state is CircuitState.OPEN


@pytest.mark.anyio
async def test_a_result_in_the_thread_may_be_a_failure(clock: ManualClock) -> None:
    breaker = make(clock, failed_result=lambda result: result == 500)
    assert await breaker.call_in_thread(int, 500) == 500
    assert breaker.state is CircuitState.OPEN


@pytest.mark.anyio
async def test_a_rejected_call_starts_no_thread(clock: ManualClock) -> None:
    breaker, calls = await make_open(clock), []
    with pytest.raises(CircuitBreakerOpenError):
        await breaker.call_in_thread(calls.append, 1)
    assert calls == []


@pytest.mark.anyio
async def test_a_probe_in_a_thread_closes_the_breaker(clock: ManualClock) -> None:
    breaker = await make_ready(clock)
    await breaker.call_in_thread(int)
    assert breaker.state is CircuitState.CLOSED


@pytest.mark.anyio
async def test_shadow_mode_runs_a_thread_for_a_call_that_would_be_rejected(clock: ManualClock) -> None:
    breaker = await make_open(clock, shadow=True)
    assert await breaker.call_in_thread(int, 7) == 7
    assert in_shadow(breaker) == (1, 0, 1)


@pytest.mark.anyio
@pytest.mark.parametrize("error", [None, DependencyError()], ids=["result", "error"])
async def test_a_cancel_scope_waits_for_the_thread_and_the_threads_end_counts(
    clock: ManualClock, error: Exception | None
) -> None:
    breaker, work = make(clock, failure_threshold=2), Work(error)
    call_error = []

    async def caller() -> None:
        try:
            await breaker.call_in_thread(work)
        except DependencyError as caught:
            call_error.append(caught)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(caller)
        await anyio.to_thread.run_sync(work.running.wait, PATIENCE_SECONDS)
        tasks.cancel_scope.cancel()
        assert totals(breaker) == {}
        work.may_end.set()
    assert totals(breaker) == ({"success": 1} if error is None else {"failure": 1})


@pytest.mark.anyio
async def test_a_deadline_does_not_fail_a_call_whose_thread_succeeds_in_the_end(clock: ManualClock) -> None:
    breaker, work = make(clock), Work()
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(breaker.call_in_thread, work)
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(work.running.wait, PATIENCE_SECONDS)
            scope.deadline = anyio.current_time()
            work.may_end.set()
    assert totals(breaker) == {"success": 1}


@pytest.mark.anyio
async def test_cancelled_before_the_thread_began_is_ignored_and_the_function_is_not_called(clock: ManualClock) -> None:
    breaker, calls = await make_ready(clock), []
    with anyio.CancelScope() as scope:
        scope.cancel()
        await breaker.call_in_thread(calls.append, 1)
    assert calls == []
    assert (breaker.health()["cancelled_total"], breaker.health()["probes_in_flight"]) == (1, 0)


@pytest.mark.anyio
async def test_cancelled_while_waiting_for_a_free_thread_gives_the_probe_permit_back(clock: ManualClock) -> None:
    breaker, calls = await make_ready(clock), []
    limiter = anyio.to_thread.current_default_thread_limiter()
    borrowed = [object() for _ in range(int(limiter.total_tokens))]
    for borrower in borrowed:
        limiter.acquire_on_behalf_of_nowait(borrower)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(breaker.call_in_thread, calls.append, 1)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    for borrower in borrowed:
        limiter.release_on_behalf_of(borrower)
    assert calls == []
    assert breaker.health()["probes_in_flight"] == 0


@pytest.mark.anyio
async def test_a_thread_that_begins_after_its_caller_has_left_does_not_call_the_function(clock: ManualClock) -> None:
    breaker, calls = await make_ready(clock), []
    call = WorkerThreadCall(await breaker.acquire(), lambda: calls.append(1))
    call.leave(asyncio.CancelledError())
    assert await anyio.to_thread.run_sync(call.work) is None
    assert calls == []
    assert (breaker.health()["cancelled_total"], breaker.health()["probes_in_flight"]) == (1, 0)


async def leave(breaker: object, work: Work) -> asyncio.Task:
    """Starts a call in a thread and ends the wait for it with a bare cancellation."""
    task = asyncio.create_task(breaker.call_in_thread(work))
    await asyncio.to_thread(work.running.wait, PATIENCE_SECONDS)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return task


@pytest.mark.parametrize(
    ("error", "state", "total"),
    [(None, CircuitState.CLOSED, "success"), (DependencyError("late"), CircuitState.OPEN, "failure")],
    ids=["result", "error"],
)
def test_a_bare_cancellation_ends_the_wait_and_the_threads_end_still_counts(
    clock: ManualClock, error: Exception | None, state: CircuitState, total: str
) -> None:
    async def main() -> None:
        breaker, work, counted = make(clock), Work(error), asyncio.Event()
        breaker.subscribe(lambda _: counted.set())
        await leave(breaker, work)
        assert totals(breaker) == {}
        work.may_end.set()
        await asyncio.wait_for(counted.wait(), PATIENCE_SECONDS)
        assert (breaker.state, totals(breaker)) == (state, {total: 1})

    asyncio.run(main())


def test_a_probe_whose_caller_has_left_holds_its_permit_until_the_thread_ends(clock: ManualClock) -> None:
    async def main() -> None:
        breaker, work, counted = await make_ready(clock), Work(), asyncio.Event()
        await leave(breaker, work)
        assert await breaker.try_acquire() is None
        breaker.subscribe(lambda _: counted.set())
        work.may_end.set()
        await asyncio.wait_for(counted.wait(), PATIENCE_SECONDS)
        assert breaker.state is CircuitState.CLOSED

    asyncio.run(main())


def test_a_caller_that_leaves_after_the_thread_has_ended_settles_the_call_by_the_threads_end(
    clock: ManualClock,
) -> None:
    async def main() -> None:
        breaker, work = make(clock), Work()
        loop, reported = asyncio.get_running_loop(), threading.Event()
        task = asyncio.create_task(breaker.call_in_thread(work))
        await asyncio.to_thread(work.running.wait, PATIENCE_SECONDS)
        report = loop.call_soon_threadsafe

        def report_and_tell(*args: object) -> object:
            try:
                return report(*args)
            finally:
                reported.set()

        loop.call_soon_threadsafe = report_and_tell
        work.may_end.set()
        assert reported.wait(PATIENCE_SECONDS)
        assert totals(breaker) == {}
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert totals(breaker) == {"success": 1}

    asyncio.run(main())


def test_a_call_counts_as_leaked_if_its_loop_is_closed_before_the_thread_ends(
    clock: ManualClock,
) -> None:
    breaker, work = make(clock), Work()
    loop = asyncio.new_event_loop()
    loop.run_until_complete(leave(breaker, work))
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    workers = [thread for thread in threading.enumerate() if "AnyIO" in thread.name]

    def end_the_thread() -> None:
        work.may_end.set()
        for worker in workers:
            worker.join(PATIENCE_SECONDS)
        gc.collect()

    with pytest.warns(ResourceWarning, match="payments"):
        end_the_thread()
    assert totals(breaker) == {"leaked": 1}


@pytest.mark.anyio
async def test_what_a_predicate_raises_does_not_reach_the_caller_of_a_thread(clock: ManualClock) -> None:
    breaker = make(clock, failed_result=lambda result: result.status)
    assert await breaker.call_in_thread(int, 7) == 7
    assert breaker.state is CircuitState.OPEN


@pytest.mark.anyio
@pytest.mark.parametrize("thing", [None, 42, "charge"])
async def test_what_cannot_be_called_is_refused_before_a_permit_is_acquired(clock: ManualClock, thing: object) -> None:
    breaker = await make_ready(clock)
    with pytest.raises(TypeError):
        await breaker.call_in_thread(thing)
    gc.collect()
    assert (breaker.health()["leaked_total"], breaker.health()["probes_in_flight"]) == (0, 0)


@pytest.mark.anyio
@pytest.mark.parametrize("fn", [answer, functools.partial(answer), AsyncMock()], ids=["function", "partial", "mock"])
async def test_a_coroutine_function_is_refused_because_no_thread_awaits_it(clock: ManualClock, fn: object) -> None:
    breaker = make(clock)
    with pytest.raises(TypeError):
        await breaker.call_in_thread(fn)
    assert "failure" not in totals(breaker)
    assert "success" not in totals(breaker)


class Awaited:
    """A callable whose call is asynchronous."""

    async def __call__(self) -> str:
        return "answer"


class Later:
    """An awaitable that is no coroutine."""

    def __await__(self) -> Iterator[None]:
        yield


async def count() -> AsyncGenerator[int]:
    yield 1


async def refuse_result(breaker: CircuitBreaker, fn: object) -> None:
    with pytest.raises(MisuseError, match=r"a thread would not await( it)?; use await breaker.call\(fn, ...\)"):
        await breaker.call_in_thread(fn)


UNFINISHED: dict[str, Callable[[], object]] = {
    "lambda": lambda: answer(),  # noqa: PLW0108 - as people write it
    "partial of a lambda": functools.partial(lambda fn: fn(), answer),
    "lambda around a callable": lambda: Awaited()(),  # noqa: PLW0108 - as above
    "awaitable": Later,
    "generator": lambda: count(),  # noqa: PLW0108 - as above
}


@pytest.mark.anyio
@pytest.mark.filterwarnings("error")  # such as "coroutine was never awaited"
@pytest.mark.parametrize("fn", UNFINISHED.values(), ids=UNFINISHED)
async def test_what_a_thread_would_have_to_await_is_a_misuse_and_no_success(clock: ManualClock, fn: object) -> None:
    breaker = await make_ready(clock, expected_exception=(DependencyError, TypeError))
    await refuse_result(breaker, fn)
    gc.collect()
    assert breaker.state is CircuitState.HALF_OPEN
    assert totals(breaker) == {"failure": 1, "ignored": 1, "probe": 1}
    assert await breaker.call_in_thread(int) == 0
    assert breaker.state is CircuitState.CLOSED


@pytest.mark.anyio
async def test_a_mock_in_a_thread_is_a_result(clock: ManualClock) -> None:
    breaker, found = make(clock), MagicMock()
    assert await breaker.call_in_thread(lambda: found) is found


@pytest.mark.anyio
async def test_keyboard_interrupt_in_a_thread_gives_the_probe_permit_back(clock: ManualClock) -> None:
    breaker, work = await make_ready(clock), Work(KeyboardInterrupt())
    work.may_end.set()
    with pytest.raises(KeyboardInterrupt):
        await breaker.call_in_thread(work)
    assert breaker.health()["probes_in_flight"] == 0
