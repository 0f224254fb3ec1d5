"""`force_open`, `disable` and `reset`: control by hand."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import anyio
import anyio.lowlevel
import pytest

from recloser import CircuitBreaker, CircuitBreakerOpenError, CircuitState, StateChanged
from recloser._breaker.admission import loop_lock
from recloser._breaker.steps import STEP
from recloser.testing import ManualClock
from tests.breaker.kit import answer, fail_once, make, make_open, make_plain, make_probing, make_ready, totals

pytestmark = pytest.mark.anyio

CONTROLS: dict[str, Callable[[CircuitBreaker], None]] = {
    "force_open": lambda breaker: breaker.force_open("maintenance"),
    "disable": lambda breaker: breaker.disable(),
    "reset": lambda breaker: breaker.reset(),
    "reconfigure": lambda breaker: breaker.reconfigure(failure_threshold=7),
}
STATES = {"force_open": CircuitState.FORCED_OPEN, "disable": CircuitState.DISABLED, "reset": CircuitState.CLOSED}


def is_free(breaker: CircuitBreaker) -> bool:
    """Returns whether the lock of the loop and the lock of all steps can be taken, the latter by another thread."""
    lock = loop_lock(breaker.engine).take()
    if lock is not None:
        lock.release()
    with ThreadPoolExecutor(1) as thread:
        taken = thread.submit(take_step).result(10)
    return lock is not None and taken


def take_step() -> bool:
    taken = STEP.acquire(timeout=0)
    if taken:
        STEP.release()
    return taken


async def make_in(state: CircuitState, clock: ManualClock) -> CircuitBreaker:
    """Makes a breaker that is in the given state."""
    if state is CircuitState.HALF_OPEN:
        breaker, permit = await make_probing(clock)
        permit.ignore()
        return breaker
    if state is CircuitState.OPEN:
        return await make_open(clock)
    breaker = make(clock)
    if state is CircuitState.FORCED_OPEN:
        breaker.force_open("before")
    elif state is CircuitState.DISABLED:
        breaker.disable()
    return breaker


@pytest.mark.parametrize("control", STATES)
@pytest.mark.parametrize("state", CircuitState)
async def test_each_control_works_in_each_state(clock: ManualClock, state: CircuitState, control: str) -> None:
    breaker = await make_in(state, clock)
    assert breaker.state is state
    generation = breaker.generation
    CONTROLS[control](breaker)
    assert (breaker.state, breaker.generation) == (STATES[control], generation + 1)


async def test_a_breaker_forced_open_rejects_until_it_is_reset(clock: ManualClock) -> None:
    breaker = make(clock)
    breaker.force_open("maintenance")
    clock.advance(1e9)
    with pytest.raises(CircuitBreakerOpenError) as caught:
        await breaker.call(answer)
    rejection = caught.value
    assert (rejection.state, rejection.retry_after, rejection.reason) == (CircuitState.FORCED_OPEN, None, "maintenance")
    breaker.reset()
    assert await breaker.call(answer) == "answer"


async def test_a_breaker_forced_open_for_a_time_rejects_until_it_is_over(clock: ManualClock) -> None:
    breaker = make(clock)
    breaker.force_open("deployment", for_seconds=10)
    clock.advance(4)
    with pytest.raises(CircuitBreakerOpenError) as caught:
        await breaker.call(answer)
    assert caught.value.retry_after == 6


async def test_after_a_forced_opening_for_a_time_the_next_call_is_a_probe(clock: ManualClock) -> None:
    breaker = make(clock)
    breaker.force_open("deployment", for_seconds=10)
    clock.advance(10)
    permit = await breaker.acquire()
    assert permit.is_probe
    permit.succeed()
    assert breaker.state is CircuitState.CLOSED


async def test_a_probe_that_fails_after_a_forced_opening_opens_for_the_reset_timeout(clock: ManualClock) -> None:
    breaker = make(clock)
    breaker.force_open("deployment", for_seconds=10)
    clock.advance(10)
    (await breaker.acquire()).fail()
    assert (breaker.state, breaker.retry_after) == (CircuitState.OPEN, 60)


async def test_a_rejection_after_a_forced_opening_no_longer_names_its_reason(clock: ManualClock) -> None:
    breaker = make(clock)
    breaker.force_open("deployment", for_seconds=10)
    clock.advance(10)
    permit = await breaker.acquire()
    with pytest.raises(CircuitBreakerOpenError) as caught:
        await breaker.acquire()
    assert (caught.value.state, caught.value.reason) == (CircuitState.HALF_OPEN, None)
    permit.ignore()


async def test_a_disabled_breaker_admits_and_counts_and_never_trips(clock: ManualClock) -> None:
    breaker = make(clock)
    breaker.disable()
    for _ in range(5):
        await fail_once(breaker)
    assert (breaker.state, totals(breaker)) == (CircuitState.DISABLED, {"failure": 5})


async def test_a_disabled_breaker_admits_what_an_open_one_would_reject(clock: ManualClock) -> None:
    breaker = await make_open(clock)
    breaker.disable()
    assert await breaker.call(answer) == "answer"


async def test_reset_closes_an_open_breaker_and_forgets_its_failures(clock: ManualClock) -> None:
    breaker = await make_open(clock)
    breaker.reset()
    assert (breaker.state, breaker.failure_count, breaker.retry_after) == (CircuitState.CLOSED, 0, 0)


async def test_reset_of_a_closed_breaker_forgets_its_failures(clock: ManualClock) -> None:
    breaker = make(clock, failure_threshold=2)
    await fail_once(breaker)
    breaker.reset()
    await fail_once(breaker)
    assert breaker.state is CircuitState.CLOSED


async def test_a_probe_that_ends_after_a_reset_is_late(clock: ManualClock) -> None:
    breaker, permit = await make_probing(clock)
    breaker.reset()
    permit.fail()
    assert (breaker.state, breaker.health()["late_total"]) == (CircuitState.CLOSED, 1)


async def test_calls_running_when_the_breaker_is_forced_open_are_late(clock: ManualClock) -> None:
    breaker = make(clock)
    permit = await breaker.acquire()
    breaker.force_open("maintenance")
    permit.fail()
    assert (breaker.state, totals(breaker)) == (CircuitState.FORCED_OPEN, {"late": 1})


@pytest.mark.parametrize("control", CONTROLS)
async def test_manual_control_needs_no_lock_of_the_loop(clock: ManualClock, control: str) -> None:
    breaker = make(clock)
    before = breaker.snapshot()
    loop_lock(breaker.engine).take()  # never released, as after an exception from outside
    CONTROLS[control](breaker)
    assert breaker.snapshot() != before or breaker.failure_threshold == 7


@pytest.mark.parametrize("control", CONTROLS)
async def test_manual_control_works_in_a_cancelled_scope(clock: ManualClock, control: str) -> None:
    breaker = make(clock)
    before = breaker.snapshot()
    with anyio.CancelScope() as scope:
        scope.cancel()
        CONTROLS[control](breaker)
        await anyio.lowlevel.checkpoint()
    assert breaker.snapshot() != before or breaker.failure_threshold == 7


@pytest.mark.parametrize("held_by_itself", [True, False], ids=["this task", "another task"])
async def test_a_call_that_finds_the_lock_held_fails_fast_and_is_no_probe(
    clock: ManualClock, *, held_by_itself: bool
) -> None:
    breaker = await make_ready(clock)
    rejections = []

    async def call() -> None:
        with pytest.raises(CircuitBreakerOpenError) as caught:
            await breaker.call(answer)
        rejections.append(caught.value.retry_after)

    lock = loop_lock(breaker.engine).take()
    async with anyio.create_task_group() as tasks:
        if held_by_itself:
            await call()
        else:
            tasks.start_soon(call)
            await anyio.wait_all_tasks_blocked()
    assert rejections == [0]
    assert breaker.state is CircuitState.OPEN
    lock.release()
    assert await breaker.call(answer) == "answer"


async def test_the_lock_is_free_again_after_a_probe_was_admitted(clock: ManualClock) -> None:
    breaker, permit = await make_probing(clock)
    assert is_free(breaker)
    permit.ignore()


@pytest.mark.parametrize("control", STATES)
async def test_listeners_are_notified_of_manual_control_without_a_lock(clock: ManualClock, control: str) -> None:
    breaker, free = make(clock), []
    breaker.subscribe(lambda _: free.append(is_free(breaker)))
    CONTROLS[control](breaker)
    assert free == [True]


async def test_listeners_are_notified_of_a_probe_without_a_lock(clock: ManualClock) -> None:
    breaker, free = await make_ready(clock), []
    breaker.subscribe(lambda _: free.append(is_free(breaker)))
    (await breaker.acquire()).ignore()
    assert set(free) == {True}


@pytest.mark.parametrize("reason", [None, 42, b"maintenance"])
async def test_a_reason_that_is_no_string_is_refused(clock: ManualClock, reason: object) -> None:
    breaker = make(clock)
    with pytest.raises(TypeError, match="reason must be a string"):
        breaker.force_open(reason)
    assert breaker.state is CircuitState.CLOSED


@pytest.mark.parametrize("reason", ["", " \n "])
async def test_a_breaker_is_not_forced_open_without_a_reason(clock: ManualClock, reason: str) -> None:
    breaker = make(clock)
    with pytest.raises(ValueError, match="reason must say why, for whoever finds the breaker open, not "):
        breaker.force_open(reason)
    breaker.disable(reason)
    assert (breaker.snapshot().cause.reason, str(breaker.snapshot().cause)) == (None, "disabled by hand")


@pytest.mark.parametrize("reason", [42, b"maintenance"])
async def test_a_reason_to_disable_or_reset_that_is_no_string_is_refused(clock: ManualClock, reason: object) -> None:
    breaker = await make_open(clock)
    for control in (breaker.disable, breaker.reset):
        with pytest.raises(TypeError, match="reason must be a string"):
            control(reason)
    assert breaker.state is CircuitState.OPEN


async def test_the_cause_of_manual_control_names_its_reason_if_there_is_one(clock: ManualClock) -> None:
    breaker = make(clock)
    breaker.disable("a load\n test")
    assert breaker.health()["cause"]["text"] == "disabled by hand: a load test"
    assert "disabled by hand: a load test; " in breaker.explain()
    assert breaker.snapshot().cause.reason == "a load test"
    breaker.reset("the test is over")
    assert breaker.health()["cause"]["text"] == "reset by hand: the test is over"
    breaker.disable()
    assert breaker.health()["cause"]["text"] == "disabled by hand"


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf")])
async def test_a_forced_time_out_of_range_is_refused(clock: ManualClock, seconds: float) -> None:
    breaker = make(clock)
    with pytest.raises(ValueError, match="for_seconds must be a finite number of seconds > 0"):
        breaker.force_open("maintenance", for_seconds=seconds)
    assert breaker.state is CircuitState.CLOSED


async def test_the_cause_of_a_forced_opening_names_its_reason(clock: ManualClock) -> None:
    breaker, events = make(clock), []
    breaker.subscribe(events.append)
    breaker.force_open("maintenance", for_seconds=90)
    [event] = events
    assert isinstance(event, StateChanged)
    assert (event.cause.reason, str(event.cause)) == ("maintenance", "forced open for 90 s: maintenance")


async def test_the_failure_count_is_frozen_while_a_breaker_is_forced_open(clock: ManualClock) -> None:
    breaker = make(clock, failure_threshold=5)
    await fail_once(breaker)
    breaker.force_open("maintenance")
    assert breaker.failure_count == 1


async def test_a_reason_of_several_lines_is_shown_on_one(clock: ManualClock) -> None:
    breaker = make(clock)
    breaker.force_open("maintenance\n  until\tnoon\r\n")
    with pytest.raises(CircuitBreakerOpenError) as caught:
        await breaker.call(answer)
    assert caught.value.reason == "maintenance until noon"


@pytest.mark.parametrize("control", ["force_open", "disable", "reset"])
async def test_the_author_of_manual_control_is_shown(clock: ManualClock, control: str) -> None:
    breaker = make(clock)
    getattr(breaker, control)("maintenance", author="ann\n smith")
    cause = breaker.snapshot().cause
    assert (cause.author, cause.fields()["author"], cause.reason) == ("ann smith", "ann smith", "maintenance")
    assert " by ann smith" in breaker.explain()


@pytest.mark.parametrize("control", ["force_open", "disable", "reset"])
async def test_an_author_that_is_no_string_is_refused(clock: ManualClock, control: str) -> None:
    breaker = make(clock)
    with pytest.raises(TypeError, match="author must be a string, not None"):
        getattr(breaker, control)("maintenance", author=None)
    assert breaker.generation == 1


async def test_a_breaker_disabled_for_a_time_admits_and_never_trips_until_it_is_over(clock: ManualClock) -> None:
    breaker = await make_open(clock)
    breaker.disable("a load test", for_seconds=10)
    clock.advance(9.5)
    for _ in range(3):
        await fail_once(breaker)
    assert (breaker.state, breaker.retry_after, breaker.is_ready) == (CircuitState.DISABLED, 0, True)
    assert "disabled by hand for 10 s: a load test" in breaker.explain()
    assert breaker.explain().endswith("it admits all calls and trips on nothing for 0.5 s more.")


async def test_the_first_call_after_the_time_of_a_disable_closes_the_breaker(clock: ManualClock) -> None:
    breaker, changes = make(clock, failure_threshold=2), []
    breaker.subscribe(changes.append, StateChanged)
    breaker.disable(for_seconds=10)
    await fail_once(breaker)
    clock.advance(10)
    assert breaker.state is CircuitState.DISABLED  # reading changes nothing
    assert breaker.explain().endswith("trips on nothing until the next call, which closes it.")
    await fail_once(breaker)
    assert (breaker.state, breaker.failure_count) == (CircuitState.CLOSED, 1)
    assert [str(change.cause) for change in changes] == [
        "disabled by hand for 10 s",
        "the time that it was disabled for has elapsed",
    ]
    await fail_once(breaker)
    assert breaker.state is CircuitState.OPEN


@pytest.mark.parametrize("kind", ["call", "guard", "acquire", "try_acquire", "try_acquire_nowait", "decorator"])
async def test_every_kind_of_call_ends_a_timed_disable(clock: ManualClock, kind: str) -> None:
    breaker = make(clock)
    breaker.disable(for_seconds=10)
    clock.advance(10)
    if kind == "call":
        await breaker.call(answer)
    elif kind == "decorator":
        await breaker(answer)()
    elif kind == "guard":
        async with breaker.guard():
            pass
    else:
        permit = getattr(breaker, kind)()
        permit = permit if kind == "try_acquire_nowait" else await permit
        permit.succeed()
    assert (breaker.state, totals(breaker)) == (CircuitState.CLOSED, {"success": 1})


async def test_calls_that_a_timed_disable_admitted_are_late_after_it(clock: ManualClock) -> None:
    breaker = make(clock)
    breaker.disable(for_seconds=10)
    permit = await breaker.acquire()
    clock.advance(10)
    await breaker.call(answer)
    permit.fail()
    assert (breaker.state, totals(breaker)) == (CircuitState.CLOSED, {"success": 1, "late": 1})


async def test_a_breaker_disabled_without_a_time_is_on_the_closed_path_and_with_one_it_is_not(
    clock: ManualClock,
) -> None:
    breaker = make_plain(clock)
    breaker.disable()
    assert breaker.engine.live is breaker.engine.machine.epoch
    breaker.disable(for_seconds=10)
    assert breaker.engine.live is None


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf")])
async def test_a_disabled_time_out_of_range_is_refused(clock: ManualClock, seconds: float) -> None:
    breaker = make(clock)
    with pytest.raises(ValueError, match="for_seconds must be a finite number of seconds > 0"):
        breaker.disable("maintenance", for_seconds=seconds)
    assert breaker.state is CircuitState.CLOSED
