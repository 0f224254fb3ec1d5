"""How the cause of a cancellation is recognised, with canaries for what neither anyio nor trio documents."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from operator import methodcaller

import anyio
import pytest
import trio

from recloser import CircuitBreaker, CircuitState
from recloser._breaker.cancellation import PREFIX, SUFFIX, Deadline, deadline_of, is_cancellation
from recloser.testing import ManualClock
from tests.breaker.kit import answer, fail_once, hang, in_shadow, make, totals

WHAT_TO_DO = (
    "{} no longer says why it cancels in the way that recloser._breaker.cancellation reads it, so deadlines around "
    "calls would be ignored and a dependency that hangs would trip no breaker. Look at the exception shown "
    "here, teach deadline_of() the new form beside the old one, and note the version in the module's docstring."
)


def cancelled_by_trio(source: str) -> trio.Cancelled:
    """Makes an exception whose public constructor only trio can use."""
    cancelled: trio.Cancelled = methodcaller("_create", source=source)(trio.Cancelled)
    return cancelled


def cancelled_on_asyncio(end: Callable[[anyio.CancelScope], object]) -> BaseException:
    """Returns the exception that a cancel scope sends into a call."""
    caught: list[BaseException] = []

    async def main() -> None:
        with anyio.CancelScope() as scope:
            end(scope)
            try:
                await anyio.sleep_forever()
            except asyncio.CancelledError as error:
                caught.append(error)
                raise

    asyncio.run(main())
    return caught[0]


def run_out(scope: anyio.CancelScope) -> None:
    scope.deadline = anyio.current_time()


def test_canary_anyio_still_says_on_asyncio_that_a_deadline_was_exceeded() -> None:
    error = cancelled_on_asyncio(run_out)
    text = error.args[0] if error.args else None
    assert isinstance(text, str), WHAT_TO_DO.format("anyio") + f" It was: {error!r}"
    assert (text.startswith(PREFIX), text.endswith(SUFFIX)) == (True, True), (
        WHAT_TO_DO.format("anyio") + f" It was: {error!r}"
    )


def test_canary_anyio_still_says_nothing_of_a_deadline_when_a_scope_is_cancelled_by_hand() -> None:
    error = cancelled_on_asyncio(lambda scope: scope.cancel())
    assert deadline_of(error) is None, WHAT_TO_DO.format("anyio") + f" It was: {error!r}"


def test_canary_anyio_still_hands_one_text_object_to_all_tasks_that_one_deadline_ends() -> None:
    texts: list[object] = []

    async def worker() -> None:
        try:
            await anyio.sleep_forever()
        except asyncio.CancelledError as error:
            texts.append(error.args[0])
            raise

    async def main() -> None:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                for _ in range(3):
                    tasks.start_soon(worker)
                await anyio.lowlevel.checkpoint()
                scope.deadline = anyio.current_time()

    asyncio.run(main())
    assert len(texts) == 3
    assert len({id(text) for text in texts}) == 1, (
        "anyio makes a text of its own for each task that it cancels, so that recloser would count one deadline once "
        f"per call: Deadline.is_same() has to compare something else. The texts were: {texts!r}"
    )


def cancelled_on_trio(end: Callable[[trio.CancelScope], object]) -> BaseException:
    """Returns the exception that a cancel scope sends into a call."""
    caught: list[BaseException] = []

    async def main() -> None:
        with trio.CancelScope() as scope:
            end(scope)
            try:
                await trio.sleep_forever()
            except trio.Cancelled as error:
                caught.append(error)
                raise

    trio.run(main)
    return caught[0]


def run_out_on_trio(scope: trio.CancelScope) -> None:
    scope.deadline = trio.current_time()


def test_canary_trio_still_names_the_deadline_as_the_source_of_a_cancellation() -> None:
    error = cancelled_on_trio(run_out_on_trio)
    assert getattr(error, "source", None) == "deadline", WHAT_TO_DO.format("trio") + f" It was: {error!r}"


def test_canary_trio_still_names_another_source_when_a_scope_is_cancelled_by_hand() -> None:
    error = cancelled_on_trio(lambda scope: scope.cancel())
    assert getattr(error, "source", None) == "explicit", WHAT_TO_DO.format("trio") + f" It was: {error!r}"


@pytest.mark.parametrize("open_group", [anyio.create_task_group, trio.open_nursery], ids=["anyio", "trio"])
def test_canary_a_deadline_still_shows_on_trio_when_the_call_has_a_task_group_of_its_own(
    open_group: Callable[[], AbstractAsyncContextManager],
) -> None:
    read: list[tuple[BaseException, bool, Deadline | None]] = []

    async def call() -> None:
        try:
            async with open_group() as tasks:
                tasks.start_soon(trio.sleep_forever)
                await trio.sleep_forever()
        except BaseException as error:
            read.append((error, is_cancellation(error), deadline_of(error)))
            raise

    async def main() -> None:
        with trio.CancelScope() as scope:
            run_out_on_trio(scope)
            await call()

    trio.run(main)
    [(error, is_cancelled, deadline)] = read
    assert is_cancelled
    assert deadline is not None, WHAT_TO_DO.format("trio or anyio") + f" It was: {error!r}"


@pytest.mark.parametrize(
    "error",
    [
        asyncio.CancelledError(),
        asyncio.CancelledError("shutdown"),
        asyncio.CancelledError(42),
        asyncio.CancelledError("Cancelled via cancel scope 7f3c"),
        asyncio.CancelledError("; reason: deadline exceeded"),
        BaseExceptionGroup("", [asyncio.CancelledError(), asyncio.CancelledError("shutdown")]),
        cancelled_by_trio("nursery"),
        cancelled_by_trio("unknown"),
        KeyboardInterrupt(),
    ],
    ids=repr,
)
def test_a_cancellation_that_is_not_recognised_has_no_deadline(error: BaseException) -> None:
    assert deadline_of(error) is None


def test_a_group_has_the_deadline_of_its_first_leaf_that_has_one() -> None:
    text = f"{PREFIX}7f3c{SUFFIX}"
    inner = BaseExceptionGroup("", [asyncio.CancelledError(), asyncio.CancelledError(text)])
    assert deadline_of(BaseExceptionGroup("", [asyncio.CancelledError(), inner])) == Deadline(text, 0.0)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (asyncio.CancelledError(), True),
        (cancelled_by_trio("unknown"), True),
        (BaseExceptionGroup("", [asyncio.CancelledError(), cancelled_by_trio("unknown")]), True),
        (BaseExceptionGroup("", [asyncio.CancelledError(), ValueError()]), False),
        (ExceptionGroup("", [ValueError()]), False),
        (KeyboardInterrupt(), False),
        (ValueError(), False),
    ],
    ids=repr,
)
def test_what_is_a_cancellation(error: BaseException, *, expected: bool) -> None:
    assert is_cancellation(error) is expected


def test_without_trio_only_asyncio_cancels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "trio")
    assert not is_cancellation(cancelled_by_trio("unknown"))
    assert is_cancellation(asyncio.CancelledError())


def test_two_deadlines_of_asyncio_with_an_equal_text_are_two() -> None:
    one, other = (Deadline(PREFIX + address + SUFFIX, 0.0) for address in ["7f3c"] * 2)
    assert one.is_same(one)
    assert not one.is_same(other)


def test_a_deadline_of_trio_that_is_read_outside_its_loop_is_the_same_as_no_other() -> None:
    deadline = deadline_of(cancelled_by_trio("deadline"))
    assert deadline is not None
    assert not deadline.is_same(deadline)


def test_two_deadlines_of_trio_are_one_within_a_millisecond() -> None:
    at = [Deadline(None, seconds).is_same(Deadline(None, 5.0)) for seconds in (4.9985, 4.9995, 5.0, 5.0005, 5.0015)]
    assert at == [False, True, True, True, False]


def test_a_deadline_of_asyncio_is_none_of_trio() -> None:
    assert not Deadline(f"{PREFIX}7f3c{SUFFIX}", 0.0).is_same(Deadline(None, 0.0))
    assert not Deadline(None, 0.0).is_same(Deadline(f"{PREFIX}7f3c{SUFFIX}", 0.0))


# The hint


async def cancel_bare(breaker: CircuitBreaker, times: int) -> None:
    for _ in range(times):
        task = asyncio.ensure_future(breaker.call(anyio.sleep_forever))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def hints(caplog: pytest.LogCaptureFixture) -> int:
    return caplog.text.count("overdue_after_seconds")


def in_a_loop(steps: Callable[[CircuitBreaker], Awaitable[None]], breaker: CircuitBreaker) -> None:
    asyncio.run(steps(breaker))


def test_a_breaker_that_sees_only_bare_cancellations_logs_a_hint_once(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    asyncio.run(cancel_bare(make(clock), 50))
    assert hints(caplog) == 1
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_a_few_bare_cancellations_are_no_reason_for_a_hint(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    asyncio.run(cancel_bare(make(clock), 9))
    assert hints(caplog) == 0


def test_bare_cancellations_among_outcomes_are_no_reason_for_a_hint(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    async def steps(breaker: CircuitBreaker) -> None:
        for _ in range(5):
            await cancel_bare(breaker, 9)
            await breaker.call(answer)
            await cancel_bare(breaker, 9)
            await fail_once(breaker)

    in_a_loop(steps, make(clock, failure_threshold=9))
    assert hints(caplog) == 0


def test_the_hint_is_given_once_even_if_outcomes_come_in_between(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    async def steps(breaker: CircuitBreaker) -> None:
        for _ in range(3):
            await cancel_bare(breaker, 20)
            await breaker.call(answer)

    in_a_loop(steps, make(clock))
    assert hints(caplog) == 1


def test_with_the_setting_there_is_no_hint(clock: ManualClock, caplog: pytest.LogCaptureFixture) -> None:
    asyncio.run(cancel_bare(make(clock, overdue_after_seconds=30), 50))
    assert hints(caplog) == 0


def test_each_breaker_hints_for_itself(clock: ManualClock, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        asyncio.run(cancel_bare(make(clock), 20))
    assert hints(caplog) == 2


def test_calls_that_shadow_mode_lets_through_are_no_reason_for_a_hint(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    async def steps(breaker: CircuitBreaker) -> None:
        await fail_once(breaker)
        await cancel_bare(breaker, 50)
        assert (breaker.state, totals(breaker)) == (CircuitState.OPEN, {"failure": 1})
        assert in_shadow(breaker) == (50, 0, 0)

    in_a_loop(steps, make(clock, shadow=True))
    assert hints(caplog) == 0


@pytest.mark.anyio
async def test_a_deadline_is_reported_without_the_address_of_its_scope(clock: ManualClock) -> None:
    breaker, events = make(clock), []
    breaker.subscribe(events.append)
    with anyio.move_on_after(0):
        await breaker.call(hang, clock)
    assert events[0].error_message == "the caller's deadline was exceeded"
    assert breaker.snapshot().cause.last_error.endswith(": the caller's deadline was exceeded")
