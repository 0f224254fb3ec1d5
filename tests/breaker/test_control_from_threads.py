"""Manual control and new settings from any thread: no event loop is needed, and those in other loops notice."""

import inspect
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise

import anyio
import anyio.lowlevel
import pytest

import recloser
from recloser import BreakerRegistry, CircuitBreaker, CircuitBreakerOpenError, CircuitState, StateChanged
from recloser._breaker.steps import STEP
from recloser.testing import ManualClock
from tests.breaker.kit import BACKENDS, DependencyError, answer, fail, fail_once, make, make_open, make_probing, totals
from tests.handover import in_thread

PATIENCE_SECONDS = 60.0

CONTROLS: dict[str, Callable[[CircuitBreaker], None]] = {
    "force_open": lambda breaker: breaker.force_open("maintenance"),
    "force_open for a time": lambda breaker: breaker.force_open("maintenance", for_seconds=5),
    "disable": lambda breaker: breaker.disable(),
    "disable for a time": lambda breaker: breaker.disable(for_seconds=5),
    "reset": lambda breaker: breaker.reset(),
    "reconfigure": lambda breaker: breaker.reconfigure(shadow=True),
}


@contextmanager
def switching_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


@pytest.mark.parametrize("control", CONTROLS)
def test_control_needs_no_event_loop(clock: ManualClock, control: str) -> None:
    breaker = make(clock)
    before = breaker.snapshot()
    CONTROLS[control](breaker)
    assert breaker.snapshot() != before or breaker.engine.machine.settings.shadow


@pytest.mark.parametrize("control", CONTROLS)
@pytest.mark.anyio
async def test_control_works_in_another_thread(clock: ManualClock, control: str) -> None:
    breaker, events = make(clock), []
    breaker.subscribe(events.append, StateChanged)
    in_thread(lambda: CONTROLS[control](breaker))
    assert [event.new for event in events] == ([] if control == "reconfigure" else [breaker.state])


@pytest.mark.parametrize("control", ["disable", "disable for a time", "reset", "reconfigure"])
@pytest.mark.anyio
async def test_control_in_another_thread_wakes_waiting_tasks(clock: ManualClock, control: str) -> None:
    breaker = await make_open(clock)
    with anyio.fail_after(PATIENCE_SECONDS):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(breaker.wait_until_ready)
            await anyio.wait_all_tasks_blocked()
            in_thread(lambda: CONTROLS[control](breaker))


@pytest.mark.parametrize("backend", BACKENDS)
def test_tasks_in_several_loops_are_all_woken_each_in_its_own_loop(clock: ManualClock, backend: str) -> None:
    breaker = make(clock)
    breaker.force_open("maintenance")
    waiting, woken = threading.Barrier(4, timeout=PATIENCE_SECONDS), []

    async def wait() -> None:
        async def say_and_wait() -> None:
            woken.append(await breaker.wait_until_ready(PATIENCE_SECONDS))

        async with anyio.create_task_group() as tasks:
            for _ in range(2):
                tasks.start_soon(say_and_wait)
            await anyio.wait_all_tasks_blocked()
            await anyio.to_thread.run_sync(waiting.wait)

    backends = ["asyncio", backend, "trio"]
    threads = [threading.Thread(target=anyio.run, args=(wait,), kwargs={"backend": each}) for each in backends]
    for thread in threads:
        thread.start()
    waiting.wait()
    breaker.reset()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    assert woken == [True] * 6
    assert breaker.engine.waiting == {}


@pytest.mark.anyio
async def test_a_stream_reads_what_another_thread_causes(clock: ManualClock) -> None:
    breaker = make(clock)
    async with breaker.events(kinds=StateChanged) as stream:
        with anyio.fail_after(PATIENCE_SECONDS):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(anyio.to_thread.run_sync, breaker.force_open, "maintenance")
                event = await anext(stream)
    assert event.new is CircuitState.FORCED_OPEN


def test_whether_a_call_has_a_chance_can_be_read_in_any_thread(clock: ManualClock) -> None:
    breaker = make(clock)
    breaker.force_open("maintenance", for_seconds=5)
    read: list[bool] = []
    in_thread(lambda: read.append(breaker.is_ready))
    clock.advance(5)
    in_thread(lambda: read.append(breaker.is_ready))
    assert read == [False, True]


@pytest.mark.anyio
async def test_is_ready_says_whether_a_call_has_a_chance_and_changes_nothing(clock: ManualClock) -> None:
    breaker = make(clock)
    assert breaker.is_ready
    await fail_once(breaker)
    assert not breaker.is_ready
    clock.advance(60)
    before = breaker.snapshot()
    assert breaker.is_ready
    assert breaker.snapshot() == before
    permit = await breaker.acquire()
    assert not breaker.is_ready
    permit.ignore()
    assert breaker.is_ready


@pytest.mark.anyio
async def test_a_caller_that_skips_calls_while_not_ready_recovers(clock: ManualClock) -> None:
    breaker = await make_open(clock)
    served = []
    for _ in range(100):
        clock.advance(1)
        if breaker.is_ready:
            served.append(await breaker.call(answer))
    assert len(served) == 41  # from the end of the reset timeout on


@pytest.mark.anyio
async def test_a_permit_that_was_dropped_makes_a_half_open_breaker_ready(clock: ManualClock) -> None:
    breaker, permit = await make_probing(clock)
    assert not breaker.is_ready
    with pytest.warns(ResourceWarning, match="was dropped"):
        del permit
    assert breaker.is_ready


@pytest.mark.anyio
async def test_a_trip_that_another_thread_forestalls_changes_nothing(clock: ManualClock) -> None:
    """The text of the error is made between the count and the transition; another thread forces the breaker open."""
    breaker, events = make(clock), []
    breaker.subscribe(events.append, StateChanged)

    class SlowError(Exception):
        def __str__(self) -> str:
            in_thread(lambda: breaker.force_open("maintenance"))
            return "slow to describe"

    with pytest.raises(SlowError):
        await breaker.call(fail, SlowError())
    assert breaker.state is CircuitState.FORCED_OPEN
    assert [event.new for event in events] == [CircuitState.FORCED_OPEN]
    breaker.reset()
    assert totals(breaker) == {"failure": 1}


@pytest.mark.anyio
async def test_the_text_of_a_probes_error_is_made_while_other_threads_can_act(clock: ManualClock) -> None:
    breaker, permit = await make_probing(clock)

    class SlowError(Exception):
        def __str__(self) -> str:
            in_thread(breaker.disable)
            return "slow to describe"

    permit.fail(SlowError())
    assert (breaker.state, breaker.health()["late_total"]) == (CircuitState.DISABLED, 1)


def control_many_times(breaker: CircuitBreaker) -> None:
    for _ in range(150):
        for control in CONTROLS.values():
            control(breaker)
        breaker.reconfigure(shadow=False)


def test_control_by_threads_and_calls_at_once_leave_a_breaker_that_works() -> None:
    """Real threads that switch as often as possible: no call and no control raises what it should not."""
    breaker, changes = CircuitBreaker(failure_threshold=3, reset_timeout_seconds=0), []
    breaker.subscribe(changes.append, StateChanged)
    ended, surprises = threading.Event(), []

    def control() -> None:
        try:
            control_many_times(breaker)
        except BaseException as error:  # noqa: BLE001 - asserted below
            surprises.append(error)

    async def call() -> None:
        while not ended.is_set():
            for fn in (answer, fail, fail, fail, answer):
                with suppress(CircuitBreakerOpenError, DependencyError):
                    await breaker.call(fn)
                await anyio.lowlevel.checkpoint()

    with switching_often():
        threads = [threading.Thread(target=control) for _ in range(2)]
        caller = threading.Thread(target=anyio.run, args=(call,))
        for thread in (*threads, caller):
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_SECONDS)
        ended.set()
        caller.join(PATIENCE_SECONDS)
    assert surprises == []
    assert not any(thread.is_alive() for thread in (*threads, caller))
    assert all(before.new is after.old for before, after in pairwise(changes))
    assert changes[-1].new is breaker.state
    breaker.reset()
    assert anyio.run(breaker.call, answer) == "answer"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system can't fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_process_does_not_inherit_the_lock_of_another_thread(clock: ManualClock) -> None:
    breaker, held, may_end = make(clock), threading.Event(), threading.Event()

    def hold() -> None:
        with STEP:
            held.set()
            may_end.wait(PATIENCE_SECONDS)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(PATIENCE_SECONDS)
    threading.Timer(0.05, may_end.set).start()  # the fork waits until the lock is free
    child = os.fork()
    if child == 0:  # pragma: no cover - in the child
        breaker.force_open("maintenance")
        os._exit(0 if breaker.state is CircuitState.FORCED_OPEN else 1)
    thread.join(PATIENCE_SECONDS)
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system can't fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_process_delivers_events_though_a_thread_of_its_parent_was_at_it(clock: ManualClock) -> None:
    breaker, busy, may_end, heard = make(clock), threading.Event(), threading.Event(), []

    def hear(event: StateChanged) -> None:
        heard.append(event.new)
        if event.new is CircuitState.DISABLED:
            busy.set()
            may_end.wait(PATIENCE_SECONDS)

    breaker.subscribe(hear, StateChanged)
    thread = threading.Thread(target=breaker.disable)
    thread.start()
    busy.wait(PATIENCE_SECONDS)
    child = os.fork()
    if child == 0:  # pragma: no cover - in the child
        breaker.reset()
        os._exit(0 if heard == ["disabled", "closed"] else 1)
    may_end.set()
    thread.join(PATIENCE_SECONDS)
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.anyio
async def test_an_interrupt_while_an_admission_is_recorded_gives_the_probe_back(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    breaker = await make_open(clock)
    clock.advance(60)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("recloser._breaker.admission.enqueue", interrupt)
        with pytest.raises(KeyboardInterrupt):
            await breaker.acquire()
    assert (breaker.state, breaker.snapshot().probes_in_flight) == (CircuitState.HALF_OPEN, 0)
    assert await breaker.call(answer) == "answer"


def test_what_is_a_coroutine_function_can_suspend_and_control_is_plain() -> None:
    waiting = {
        f"{kind.__name__}.{name}"
        for kind in (CircuitBreaker, BreakerRegistry, recloser.Permit)
        for name, member in inspect.getmembers(kind, inspect.iscoroutinefunction)
        if not name.startswith("_")
    }
    assert waiting == {
        "CircuitBreaker.acquire",  # these two wait for a fleet
        "CircuitBreaker.try_acquire",
        "CircuitBreaker.call",
        "CircuitBreaker.call_in_thread",
        "CircuitBreaker.wait_until_ready",
    }
