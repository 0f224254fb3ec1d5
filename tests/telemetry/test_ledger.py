"""`Ledger`: totals by name that never go back, in a bounded number, whatever is evicted and made again."""

import gc
import random
from threading import Event as Signal
from threading import Thread

import pytest

from recloser import BreakerRegistry, CircuitBreaker
from recloser._registry import totals as totals_module
from recloser.registry import Entry, Ledger, Totals
from recloser.testing import ManualClock
from tests.telemetry.kit import fail, live, make, succeed

pytestmark = pytest.mark.anyio

PATIENCE_SECONDS = 30.0
LIFE = Totals(success=2, failure=3, ignored=1, late=1, rejected=1, probe=2)
"""What `live()` leaves behind."""


def read(ledger: Ledger) -> dict[str, Entry]:
    entries = ledger.read()
    by_name = {entry.name: entry for entry in entries}
    assert len(by_name) == len(entries)
    return by_name


def evict(registry: BreakerRegistry) -> None:
    """Makes another breaker in a registry that has room for one."""
    registry.breaker("other")
    gc.collect()


def places() -> int:
    """Returns how many breakers have a place in any ledger."""
    gc.collect()
    return sum(isinstance(each, totals_module.EngineTotals) for each in gc.get_objects())


async def test_a_breaker_is_told_by_its_name_with_totals_and_snapshot(clock: ManualClock) -> None:
    registry = make(clock)
    ledger = Ledger(registry)
    await live(registry, "payments", clock)
    [entry] = ledger.read()
    assert (entry.name, entry.totals) == ("payments", LIFE)
    assert [snapshot.state for snapshot in entry.snapshots] == ["closed"]


async def test_breakers_that_were_there_before_are_told_too(clock: ManualClock) -> None:
    registry = make(clock)
    await live(registry, "payments", clock)
    assert read(Ledger(registry))["payments"].totals == LIFE


async def test_a_breaker_that_was_added_is_told_once_however_often_it_is_added(clock: ManualClock) -> None:
    registry = make(clock)
    ledger = Ledger(registry)
    breaker = CircuitBreaker("added", clock=clock)
    for _ in range(2):
        registry.add(breaker)
    breaker.try_acquire_nowait().succeed()
    assert read(ledger)["added"].totals == Totals(success=1)


async def test_the_totals_of_a_breaker_that_is_gone_stay(clock: ManualClock) -> None:
    registry = make(clock, max_breakers=1)
    ledger = Ledger(registry)
    await live(registry, "payments", clock)
    evict(registry)
    assert registry.get("payments") is None
    assert read(ledger)["payments"] == Entry("payments", LIFE, ())


async def test_what_shadow_mode_let_through_stays_when_the_breaker_is_gone(clock: ManualClock) -> None:
    registry = make(clock, max_breakers=1, shadow=True)
    ledger = Ledger(registry)
    fail(registry, "payments", 4)
    told = read(ledger)["payments"].totals
    assert told == Totals(failure=2, would_reject=2, shadow_failure=2)
    evict(registry)
    assert read(ledger)["payments"].totals == told


async def test_a_leaked_permit_that_was_not_released_yet_is_in_the_last_words(clock: ManualClock) -> None:
    registry = make(clock, max_breakers=1)
    ledger = Ledger(registry)
    breaker = registry.breaker("payments")
    evict(registry)
    for _ in range(2):
        (await breaker.acquire()).fail()
    clock.advance(60)
    permit = await breaker.acquire()
    with pytest.warns(ResourceWarning):
        del permit
    told = read(ledger)["payments"].totals
    assert told.leaked == 1
    del breaker
    gc.collect()
    assert registry.get("payments") is None
    assert read(ledger)["payments"].totals == told


async def test_a_successor_of_the_same_name_adds_to_the_totals(clock: ManualClock) -> None:
    registry = make(clock, max_breakers=1)
    ledger = Ledger(registry)
    for _ in range(3):
        await live(registry, "payments", clock)
        evict(registry)
    assert read(ledger)["payments"].totals == Totals._make(3 * number for number in LIFE)


async def test_an_evicted_breaker_that_somebody_holds_goes_on_counting(clock: ManualClock) -> None:
    registry = make(clock, max_breakers=1)
    ledger = Ledger(registry)
    held = registry.breaker("payments")
    evict(registry)
    held.try_acquire_nowait().succeed()
    entry = read(ledger)["payments"]
    assert (entry.totals.success, len(entry.snapshots)) == (1, 1)
    assert held.name == registry.breaker("payments").name
    assert read(ledger)["payments"].totals.success == 1


async def test_names_beyond_the_bound_share_an_entry(clock: ManualClock) -> None:
    registry = make(clock)
    ledger = Ledger(registry, max_breakers=2)
    for name in "abcd":
        succeed(registry, name)
    fail(registry, "d", 2)
    entries = read(ledger)
    assert {name: entry.totals.success for name, entry in entries.items()} == {"a": 1, "b": 1, "__other__": 2}
    assert sorted(snapshot.state for snapshot in entries[Ledger.OTHER].snapshots) == ["closed", "open"]


async def test_who_has_an_entry_keeps_it(clock: ManualClock) -> None:
    registry = make(clock, max_breakers=1)
    ledger = Ledger(registry, max_breakers=1)
    succeed(registry, "first")
    succeed(registry, "second")
    gc.collect()
    succeed(registry, "first")
    assert {name: entry.totals.success for name, entry in read(ledger).items()} == {"first": 2, "__other__": 1}


async def test_a_breaker_that_bears_the_name_of_all_others_is_one_of_them(clock: ManualClock) -> None:
    registry = make(clock)
    ledger = Ledger(registry, max_breakers=1)
    succeed(registry, "__other__")
    assert ledger.name_of("__other__") == "__other__"
    succeed(registry, "payments")
    assert {name: entry.totals.success for name, entry in read(ledger).items()} == {"__other__": 1, "payments": 1}


async def test_a_ledger_keeps_no_breaker_alive_whose_settings_lead_back_to_it(clock: ManualClock) -> None:
    class Client:
        def __init__(self, registry: BreakerRegistry) -> None:
            self.breaker = registry.add(CircuitBreaker("payments", expected_exception=self.is_failure))

        def is_failure(self, _: BaseException) -> bool:
            return True

    registry = make(clock, max_breakers=1)
    ledger = Ledger(registry)
    Client(registry)
    succeed(registry, "payments")
    evict(registry)
    assert registry.get("payments") is None
    assert read(ledger)["payments"].totals.success == 1


async def test_breakers_that_come_and_go_unread_take_no_room(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(totals_module, "MOST_DEPARTED", 10)
    registry = make(clock, max_breakers=1)
    ledger = Ledger(registry, max_breakers=1)
    before = places()
    for number in range(200):
        succeed(registry, f"host-{number}")
    assert places() - before < 40
    assert read(ledger)["__other__"].totals.success == 199


async def test_making_a_breaker_does_not_wait_for_a_reading(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(totals_module, "MOST_DEPARTED", 0)
    to_make, made, made_meanwhile = [], [], []

    def make_breakers() -> None:
        for name in "abc":
            succeed(registry, name)
            made.append(name)

    def reading() -> float:
        """A clock: it is read while the ledger is, and breakers are made in another thread meanwhile."""
        if to_make:
            thread = to_make.pop()
            thread.start()
            thread.join(PATIENCE_SECONDS)
            made_meanwhile.extend(made)
        return clock()

    registry = make(reading, max_breakers=2)
    ledger = Ledger(registry)
    fail(registry, "open", 2)
    to_make.append(Thread(target=make_breakers, daemon=True))
    ledger.read()
    assert made_meanwhile == ["a", "b", "c"]
    assert sum(entry.totals.success for entry in ledger.read()) == 3


async def test_a_dying_breaker_whose_last_words_are_still_to_come_counts_as_it_was_read(clock: ManualClock) -> None:
    registry = make(clock, max_breakers=1)
    ledger = Ledger(registry)
    breaker = registry.breaker("payments")
    breaker.try_acquire_nowait().succeed()
    assert read(ledger)["payments"].totals.success == 1
    [words], breaker.engine.finalisers = breaker.engine.finalisers, ()
    del breaker
    evict(registry)
    assert read(ledger)["payments"].totals.success == 1
    del words
    assert read(ledger)["payments"].totals.success == 1


async def test_two_ledgers_of_one_registry_tell_the_same(clock: ManualClock) -> None:
    registry = make(clock, max_breakers=1)
    ledgers = [Ledger(registry), Ledger(registry)]
    succeed(registry, "payments")
    evict(registry)
    assert [read(ledger)["payments"].totals.success for ledger in ledgers] == [1, 1]


async def test_a_ledger_that_nobody_holds_is_told_nothing_more(clock: ManualClock) -> None:
    registry = make(clock)
    ledger = Ledger(registry)
    assert len(registry.followers) == 1
    del ledger
    gc.collect()
    assert len(registry.followers) == 0
    succeed(registry, "payments")


def test_a_bound_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="max_breakers must be an integer >= 1, not 0"):
        Ledger(BreakerRegistry(), max_breakers=0)


def test_no_total_goes_back_while_breakers_come_and_go_in_another_thread() -> None:
    registry = BreakerRegistry(max_breakers=3, failure_threshold=1, reset_timeout_seconds=0.001)
    ledger = Ledger(registry, max_breakers=5)
    enough, reads = Signal(), 0

    def scrape() -> None:
        nonlocal reads
        known: dict[str, Totals] = {}
        while not enough.is_set() or reads < 20:
            now = {entry.name: entry.totals for entry in ledger.read()}
            assert len(now) <= 6
            for name, totals in known.items():
                assert all(map(int.__le__, totals, now[name])), (name, totals, now[name])
            known, reads = now, reads + 1

    failures: list[BaseException] = []

    def guarded() -> None:
        try:
            scrape()
        except BaseException as error:  # noqa: BLE001 - told below, in the thread of the test
            failures.append(error)

    thread = Thread(target=guarded)
    thread.start()
    made, rng = 0, random.Random(7)
    while reads < 20 and not failures:
        for _ in range(500):
            permit = registry.breaker(f"host-{rng.randrange(12)}").try_acquire_nowait()
            if permit is not None:
                made += 1
                permit.succeed() if rng.random() < 0.8 else permit.fail()
            del permit
    enough.set()
    thread.join()
    assert not failures, failures[0]
    gc.collect()
    entries = ledger.read()
    assert sum(entry.totals.success + entry.totals.failure for entry in entries) == made
