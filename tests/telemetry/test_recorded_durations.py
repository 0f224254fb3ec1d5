"""`Ledger(record=...)`: each duration is recorded, in batches, and what records them never breaks a call."""

import contextlib
import gc
import logging
import threading
from collections import Counter

import pytest

from recloser import BreakerRegistry, CircuitBreaker, CircuitState
from recloser._breaker import durations as durations_module
from recloser._breaker.durations import Samples
from recloser._core.outcomes import Outcome
from recloser.events import CallFailed, CallSucceeded
from recloser.registry import Ledger
from recloser.testing import ManualClock
from tests.telemetry.kit import RESET_SECONDS, DownError, answer, break_down, fail, live, make, succeed, take

pytestmark = pytest.mark.anyio

PATIENCE_SECONDS = 30.0


@pytest.fixture
def most(monkeypatch: pytest.MonkeyPatch) -> int:
    """How many calls it takes until one of them hands over what waits."""
    monkeypatch.setattr(durations_module, "MOST_SAMPLES", 2)
    return 3


class Records(list[tuple[str, str, float, str | None]]):
    """What a ledger has recorded."""

    def __call__(self, *sample: object) -> None:
        self.append(sample)


async def test_nothing_is_recorded_before_it_is_handed_over(clock: ManualClock) -> None:
    registry, records = make(clock), Records()
    ledger = Ledger(registry, record=records)
    await live(registry, "payments", clock)
    assert records == []
    ledger.hand_over()
    assert Counter((name, outcome, error) for name, outcome, _, error in records) == {
        ("payments", "success", None): 2,
        ("payments", "failure", None): 3,
        ("payments", "ignored", None): 1,
    }
    ledger.hand_over()
    assert len(records) == 6


async def test_a_duration_comes_with_the_type_of_the_error(clock: ManualClock) -> None:
    registry, records = make(clock), Records()
    ledger = Ledger(registry, record=records)
    permit = take(registry, "payments")
    clock.advance(2)
    permit.fail(DownError())
    ledger.hand_over()
    assert records == [("payments", "failure", 2, "DownError")]


@pytest.mark.parametrize("outcome", ["success", "failure"])
async def test_a_call_hands_over_when_many_durations_of_a_name_wait(
    clock: ManualClock, most: int, outcome: str
) -> None:
    registry, records = make(clock, failure_threshold=100), Records()
    _ledger = Ledger(registry, record=records)
    end = {"success": succeed, "failure": fail}[outcome]
    for number in range(1, 3 * most):
        end(registry, "payments")
        assert len(records) == number // most * most
    end(registry, "search")
    assert len(records) == 2 * most


async def test_probes_and_those_that_time_out_hand_over_too(clock: ManualClock, most: int) -> None:
    registry, records = make(clock, probe_timeout_seconds=5), Records()
    _ledger = Ledger(registry, record=records)
    fail(registry, "payments", 2)
    clock.advance(RESET_SECONDS)
    probe = take(registry, "payments")
    clock.advance(5)
    assert registry.breaker("payments").try_acquire_nowait() is None  # the probe times out under a lock
    assert records == []
    clock.advance(RESET_SECONDS)
    fail(registry, "payments")
    assert len(records) == most + 1
    probe.ignore()


@pytest.mark.parametrize("outcome", ["success", "failure"])
async def test_a_call_hands_over_only_some_of_those_that_wait(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch, outcome: str
) -> None:
    monkeypatch.setattr(durations_module, "MOST_SAMPLES", 10)
    monkeypatch.setattr(durations_module, "SAMPLES_OF_A_CALL", 4)
    registry, records = make(clock, failure_threshold=100), Records()
    ledger = Ledger(registry, record=records)
    end = {"success": succeed, "failure": fail}[outcome]
    numbers = []
    for _ in range(16):
        end(registry, "payments")
        numbers.append(len(records))
    assert numbers == [0] * 10 + [4] * 4 + [8] * 2
    ledger.hand_over()
    assert len(records) == 16


async def test_breakers_share_what_waits_for_their_name(clock: ManualClock, most: int) -> None:
    registry, records = make(clock, max_breakers=1), Records()
    ledger = Ledger(registry, record=records, max_breakers=1)
    for number in range(most - 1):
        succeed(registry, "first")
        succeed(registry, f"host-{number}")
        gc.collect()
    assert records == []
    succeed(registry, "another")
    assert {name for name, *_ in records} == {"__other__"}
    assert len(records) == most
    ledger.close()
    assert Counter(name for name, *_ in records) == {"first": most - 1, "__other__": most}


async def test_closing_hands_over_what_waits_and_nothing_comes_after_it(clock: ManualClock) -> None:
    registry, records = make(clock), Records()
    ledger = Ledger(registry, record=records)
    succeed(registry, "payments")
    for _ in range(2):
        ledger.close()
        assert len(records) == 1
        succeed(registry, "payments")
        succeed(registry, "new")


async def test_what_raises_while_it_records_is_logged_once_and_breaks_no_call(
    clock: ManualClock, most: int, caplog: pytest.LogCaptureFixture
) -> None:
    registry, fault = make(clock), ValueError("full")

    def record(*_: object) -> None:
        if fault is not None:
            raise fault

    _ledger = Ledger(registry, record=record)
    for _ in range(2 * most):
        assert await registry.breaker("payments").call(answer) == "answer"
    [logged] = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert logged.getMessage() == "The durations of circuit breaker 'payments' can't be recorded"
    assert logged.exc_info[0] is type(fault)
    broken, fault = fault, None
    for _ in range(most):
        succeed(registry, "payments")
    fault = broken
    for _ in range(most):
        succeed(registry, "payments")
    assert len([each for each in caplog.records if each.levelno == logging.ERROR]) == 2


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


async def test_an_interrupt_while_durations_are_recorded_goes_through_once_a_success_is_settled(
    clock: ManualClock, most: int
) -> None:
    registry, heard = make(clock), []
    ledgers = [Ledger(registry, record=interrupt), Ledger(registry, record=Records())]
    registry.subscribe(heard.append, kinds=CallSucceeded)
    breaker = registry.breaker("payments")
    for _ in range(most - 1):
        await breaker.call(answer)
    with pytest.raises(KeyboardInterrupt):
        await breaker.call(answer)
    assert len(heard) == most
    [entry] = ledgers[1].read()
    assert entry.totals.success == most


async def test_an_interrupt_while_durations_are_recorded_goes_through_once_the_breaker_has_opened(
    clock: ManualClock, most: int
) -> None:
    registry, heard = make(clock, failure_threshold=most), []
    _ledger = Ledger(registry, record=interrupt)
    registry.subscribe(heard.append, kinds=CallFailed)
    breaker = registry.breaker("payments")
    for _ in range(most - 1):
        with pytest.raises(DownError):
            await breaker.call(break_down)
    with pytest.raises(KeyboardInterrupt):
        await breaker.call(break_down)
    assert breaker.state is CircuitState.OPEN
    assert len(heard) == most
    clock.advance(RESET_SECONDS)
    with pytest.raises(KeyboardInterrupt):
        fail(registry, "payments")
    assert len(heard) == most + 1


async def test_an_interrupt_while_a_probe_is_recorded_goes_through_once_the_breaker_has_closed(
    clock: ManualClock, most: int
) -> None:
    registry = make(clock, failure_threshold=1, success_threshold=most)
    _ledger = Ledger(registry, record=interrupt)
    fail(registry, "payments")
    clock.advance(RESET_SECONDS)
    for _ in range(most - 1):
        succeed(registry, "payments")
    with pytest.raises(KeyboardInterrupt):
        succeed(registry, "payments")
    assert registry.breaker("payments").state is CircuitState.CLOSED


async def test_what_an_interrupt_leaves_is_recorded_later(clock: ManualClock) -> None:
    registry, records, interrupts = make(clock), Records(), [KeyboardInterrupt]

    def record(*sample: object) -> None:
        if interrupts:
            raise interrupts.pop()
        records(*sample)

    ledger = Ledger(registry, record=record)
    for _ in range(3):
        succeed(registry, "payments")
    with pytest.raises(KeyboardInterrupt):
        ledger.hand_over()
    ledger.hand_over()
    assert len(records) == 2


def test_a_duration_is_handed_over_once_although_that_goes_on_already() -> None:
    handed_over = []

    def record(outcome: Outcome, seconds: float, error_type: str | None) -> None:
        handed_over.append((outcome, seconds, error_type))
        samples.hand_over()

    samples = Samples(record)
    for seconds in range(5):
        samples.recorder()(0.0, seconds)
    samples.hand_over()
    assert sorted(seconds for _, seconds, _ in handed_over) == [0, 1, 2, 3, 4]


@pytest.mark.usefixtures("most")
def test_durations_of_many_threads_are_each_recorded_once() -> None:
    registry, records = BreakerRegistry(), Records()
    ledger = Ledger(registry, record=records, durations=(1.0,))
    done = threading.Event()

    def call(name: str) -> None:
        breaker = registry.breaker(name)
        for _ in range(2000):
            breaker.try_acquire_nowait().succeed()

    def collect() -> None:
        while not done.is_set():
            ledger.hand_over()

    collectors = [threading.Thread(target=collect) for _ in range(2)]
    callers = [threading.Thread(target=call, args=(f"host-{number}",)) for number in range(3)]
    for thread in (*collectors, *callers):
        thread.start()
    for thread in callers:
        thread.join(PATIENCE_SECONDS)
    done.set()
    for thread in collectors:
        thread.join(PATIENCE_SECONDS)
    ledger.close()
    assert Counter(name for name, *_ in records) == {f"host-{number}": 2000 for number in range(3)}
    assert {entry.name: entry.durations["success"].counts[-1] for entry in ledger.read()} == {
        f"host-{number}": 2000 for number in range(3)
    }


def test_ledgers_open_and_close_in_threads_while_breakers_are_made_and_called() -> None:
    registries = [BreakerRegistry(max_breakers=5), BreakerRegistry()]
    shared = CircuitBreaker("shared")
    for registry in registries:
        registry.add(shared)
    done, failures = threading.Event(), []

    def open_and_close(number: int) -> None:
        try:
            while not done.is_set():
                ledger = Ledger(registries[number % 2], durations=(1.0 + number,), record=lambda *_: None)
                ledger.read()
                ledger.hand_over()
                ledger.close()
        except BaseException as error:  # noqa: BLE001 - told below, in the thread of the test
            failures.append(error)

    threads = [threading.Thread(target=open_and_close, args=(number,)) for number in range(3)]
    with contextlib.closing(Ledger(registries[0], durations=(1.0,))) as lasting:
        for thread in threads:
            thread.start()
        for number in range(1500):
            shared.try_acquire_nowait().succeed()
            succeed(registries[0], f"host-{number % 8}")
            succeed(registries[1], f"host-{number % 8}")
        done.set()
        for thread in threads:
            thread.join(PATIENCE_SECONDS)
        assert not failures, failures[0]
        gc.collect()
        assert sum(entry.durations["success"].counts[-1] for entry in lasting.read()) == 3000
    for registry in registries:
        for breaker in registry:
            dispatcher = breaker.engine.dispatcher
            assert dispatcher is None or dispatcher.durations is None
            assert breaker.engine.watch is None


def test_what_cannot_be_called_is_refused() -> None:
    with pytest.raises(TypeError, match="^record must be a function that takes a duration, or None, not 5$"):
        Ledger(BreakerRegistry(), record=5)
