"""How long calls took, as a `Ledger` reads it: whose durations count, who measures, and until when."""

import gc
import itertools
import math
from collections.abc import Awaitable, Callable

import anyio
import pytest

from recloser import BreakerRegistry, CircuitBreaker, CircuitBreakerOpenError
from recloser._breaker.durations import Claim, Samples, claim_durations, release_durations
from recloser.registry import DurationTotals, Ledger
from recloser.telemetry.prometheus import BreakerCollector
from recloser.testing import ManualClock
from tests.telemetry.kit import RESET_SECONDS, DownError, fail, make, succeed, take
from tests.telemetry.scrapes import scrape

pytestmark = pytest.mark.anyio

BOUNDS = (1.0, 10.0)
Work = Callable[[], Awaitable[object]]


class OddError(Exception):
    """An exception that is ignored."""


def durations(ledger: Ledger, name: str = "payments") -> dict[str, DurationTotals]:
    return next((dict(entry.durations) for entry in ledger.read() if entry.name == name), {})


def counts(ledger: Ledger, name: str = "payments") -> dict[str, tuple[int, ...]]:
    return {outcome: totals.counts for outcome, totals in durations(ledger, name).items()}


def is_measured(breaker: CircuitBreaker) -> bool:
    dispatcher = breaker.engine.dispatcher
    has_durations = dispatcher is not None and dispatcher.durations is not None
    assert (breaker.engine.watch is not None) is has_durations
    return has_durations


async def by_decorator(breaker: CircuitBreaker, work: Work) -> None:
    await breaker(work)()


async def by_call(breaker: CircuitBreaker, work: Work) -> None:
    await breaker.call(work)


async def by_guard(breaker: CircuitBreaker, work: Work) -> None:
    async with breaker.guard():
        await work()


async def by_permit(breaker: CircuitBreaker, work: Work) -> None:
    with await breaker.acquire():
        await work()


async def by_generator(breaker: CircuitBreaker, work: Work) -> None:
    @breaker
    async def items():  # noqa: ANN202
        await work()
        yield

    async for _ in items():
        pass


WAYS = [by_decorator, by_call, by_guard, by_permit, by_generator]


def spend(clock: ManualClock, seconds: float, error: Exception | None = None) -> Work:
    """Returns a function that takes some seconds, and raises an error if there is one."""

    async def work() -> None:
        clock.advance(seconds)
        if error is not None:
            raise error

    return work


# Whose durations count


@pytest.mark.parametrize("way", WAYS)
async def test_each_way_to_call_measures_each_outcome(
    clock: ManualClock, way: Callable[[CircuitBreaker, Work], Awaitable[None]]
) -> None:
    registry = make(clock, failure_threshold=100, ignored_exception=OddError)
    ledger, breaker = Ledger(registry, durations=BOUNDS), registry.breaker("payments")
    for seconds in (0.5, 1, 2, 30):
        await way(breaker, spend(clock, seconds))
    for error in (DownError(), OddError()):
        for seconds in (10, 11):
            with pytest.raises(type(error)):
                await way(breaker, spend(clock, seconds, error))
    assert durations(ledger) == {
        "success": ((2, 3, 4), 33.5, 30),
        "failure": ((0, 1, 2), 21, 11),
        "ignored": ((0, 1, 2), 21, 11),
    }


@pytest.mark.parametrize("way", WAYS)
async def test_a_cancelled_call_is_an_ignored_one(
    clock: ManualClock, way: Callable[[CircuitBreaker, Work], Awaitable[None]]
) -> None:
    registry = make(clock)
    ledger, breaker = Ledger(registry, durations=BOUNDS), registry.breaker("payments")
    with anyio.CancelScope() as scope:

        async def hang() -> None:
            clock.advance(4)
            scope.cancel()
            await anyio.sleep_forever()

        await way(breaker, hang)
    assert scope.cancelled_caught
    assert durations(ledger) == {"ignored": ((0, 1, 1), 4, 4)}


async def test_a_result_that_counts_as_a_failure_has_the_duration_of_one(clock: ManualClock) -> None:
    registry = make(clock, failed_result=lambda result: result is None)
    ledger = Ledger(registry, durations=BOUNDS)
    await registry.breaker("payments").call(spend(clock, 2))
    assert durations(ledger) == {"failure": ((0, 1, 1), 2, 2)}


async def test_probes_are_measured(clock: ManualClock) -> None:
    registry = make(clock)
    ledger, breaker = Ledger(registry, durations=BOUNDS), registry.breaker("payments")
    fail(registry, "payments", 2)
    for seconds, error in ((3, DownError()), (20, None)):
        clock.advance(RESET_SECONDS)
        permit = await breaker.acquire()
        clock.advance(seconds)
        permit.succeed() if error is None else permit.fail(error)
    assert counts(ledger) == {"failure": (2, 3, 3), "success": (0, 0, 1)}
    assert {outcome: totals.total_seconds for outcome, totals in durations(ledger).items()} == {
        "failure": 3,
        "success": 20,
    }


async def test_a_probe_that_times_out_is_measured_once(clock: ManualClock) -> None:
    registry = make(clock, probe_timeout_seconds=7)
    ledger, breaker = Ledger(registry, durations=BOUNDS), registry.breaker("payments")
    fail(registry, "payments", 2)
    clock.advance(RESET_SECONDS)
    probe = await breaker.acquire()
    clock.advance(8)
    with pytest.raises(CircuitBreakerOpenError):
        await breaker.acquire()
    assert durations(ledger) == {"failure": ((2, 3, 3), 8, 8)}
    probe.succeed()
    assert durations(ledger) == {"failure": ((2, 3, 3), 8, 8)}


async def test_a_late_call_is_not_measured(clock: ManualClock) -> None:
    registry = make(clock)
    ledger, late = Ledger(registry, durations=BOUNDS), []
    late = [take(registry, "payments") for _ in range(3)]
    registry.breaker("payments").reset()
    late[0].succeed()
    late[1].fail()
    late[2].ignore()
    assert durations(ledger) == {}


async def test_a_call_inside_a_call_is_measured_as_well(clock: ManualClock) -> None:
    registry = make(clock)
    ledger, breaker = Ledger(registry, durations=BOUNDS), registry.breaker("payments")

    @breaker
    async def outer() -> None:
        clock.advance(3)
        await breaker.call(spend(clock, 0.5))

    await outer()
    assert durations(ledger) == {"success": ((1, 2, 2), 4, 3.5)}


async def test_a_call_that_began_before_anybody_measured_is_not_measured(clock: ManualClock) -> None:
    registry = make(clock, overdue_after_seconds=math.inf)
    permit = take(registry, "payments")
    ledger = Ledger(registry, durations=BOUNDS)
    permit.succeed()
    assert durations(ledger) == {}


async def test_a_breaker_is_measured_while_it_is_disabled(clock: ManualClock) -> None:
    registry = make(clock)
    ledger, breaker = Ledger(registry, durations=BOUNDS), registry.breaker("payments")
    breaker.disable("maintenance")
    await breaker.call(spend(clock, 2))
    assert counts(ledger) == {"success": (0, 1, 1)}


async def test_the_longest_call_is_that_of_the_last_one_to_two_minutes(clock: ManualClock) -> None:
    registry = make(clock, failure_threshold=100)
    ledger = Ledger(registry, durations=BOUNDS)

    async def call(seconds: float, *, after: float) -> float:
        clock.advance(after - seconds)
        await registry.breaker("payments").call(spend(clock, seconds))
        return durations(ledger)["success"].longest_seconds

    assert await call(5, after=5) == 5  # the first minute ends 60 s later
    assert await call(2, after=59) == 5
    assert await call(3, after=59) == 5  # in the second minute
    assert await call(1, after=2) == 3  # in the third minute: the first one is forgotten
    longest = []
    for _ in range(3):
        clock.advance(59.5)
        longest.append(durations(ledger)["success"].longest_seconds)
    assert longest == [3, 1, 0]
    assert await call(0.5, after=60) == 0.5


async def test_the_longest_call_of_several_breakers_is_that_of_one_of_them(clock: ManualClock) -> None:
    registry = make(clock)
    ledger = Ledger(registry, durations=BOUNDS, max_breakers=1)
    for name, seconds in (("first", 9), ("second", 5), ("third", 2)):
        await registry.breaker(name).call(spend(clock, seconds))
    assert durations(ledger, Ledger.OTHER)["success"].longest_seconds == 5


# Who measures, and until when


async def test_breakers_are_measured_from_the_start_however_they_come_into_the_registry(clock: ManualClock) -> None:
    registry = make(clock)
    old = registry.breaker("old")
    ledger = Ledger(registry, durations=BOUNDS)
    new, added = registry.breaker("new"), registry.add(CircuitBreaker("added", clock=clock))
    decorated = registry.per_key("group", key=lambda: "key")(spend(clock, 2))
    for breaker in (old, new, added):
        await breaker.call(spend(clock, 2))
    await decorated()
    assert {entry.name: entry.durations["success"].counts for entry in ledger.read()} == dict.fromkeys(
        ("old", "new", "added", "group[key]"), (0, 1, 1)
    )


async def test_a_breaker_of_two_registries_is_measured_for_both(clock: ManualClock) -> None:
    registries = [make(clock), make(clock)]
    breaker = CircuitBreaker("payments", clock=clock)
    for registry in registries:
        registry.add(breaker)
    first, second = (Ledger(registry, durations=BOUNDS) for registry in registries)
    await breaker.call(spend(clock, 2))
    assert counts(first) == counts(second) == {"success": (0, 1, 1)}
    first.close()
    await breaker.call(spend(clock, 2))
    assert counts(first) == {"success": (0, 1, 1)}
    assert counts(second) == {"success": (0, 2, 2)}
    second.close()
    assert not is_measured(breaker)


async def test_ledgers_with_different_bounds_share_the_finest_union(clock: ManualClock) -> None:
    registry = make(clock, failure_threshold=100)
    breaker = registry.breaker("payments")
    coarse = Ledger(registry, durations=(1, 10))
    await breaker.call(spend(clock, 3))
    fine = Ledger(registry, durations=(2, 4, 10))
    odd = Ledger(registry, durations=(10,))
    for seconds in (0.5, 3, 3, 5, 30):
        await breaker.call(spend(clock, seconds))
    fail(registry, "payments")
    [_, present] = breaker.engine.dispatcher.durations.chain
    assert present.bounds == (1, 2, 4, 10)
    assert durations(coarse) == {"success": ((1, 5, 6), 44.5, 30), "failure": ((1, 1, 1), 0, 0)}
    assert durations(fine) == {"success": ((1, 3, 4, 5), 41.5, 30), "failure": ((1, 1, 1, 1), 0, 0)}
    assert counts(odd) == {"success": (5, 6), "failure": (1, 1)}
    fine.close()
    await breaker.call(spend(clock, 3))
    assert counts(coarse)["success"] == (1, 6, 7)
    assert counts(fine)["success"] == (1, 3, 4, 5)
    assert breaker.engine.dispatcher.durations.chain[-1] is present, "it does not become coarser"


@pytest.mark.parametrize("order", tuple(itertools.permutations(range(4))), ids=str)
async def test_a_breaker_is_measured_until_the_last_ledger_is_closed(clock: ManualClock, order: tuple[int]) -> None:
    registry, other = make(clock), make(clock)
    breaker = registry.breaker("payments")
    other.add(breaker)
    ledgers = [
        Ledger(registry, durations=(1,)),
        Ledger(other, durations=(2, 3)),
        Ledger(registry, record=lambda *_: None),
        Ledger(other, durations=(1,), record=lambda *_: None),
    ]
    unmeasured = Ledger(registry)
    for index in order:
        assert is_measured(breaker)
        ledgers[index].close()
        ledgers[index].close()
        succeed(registry, "payments")
    assert not is_measured(breaker)
    unmeasured.close()
    assert not is_measured(registry.breaker("new"))
    again = Ledger(registry, durations=(5,))
    await breaker.call(spend(clock, 2))
    assert counts(again) == {"success": (1, 1)}


async def test_without_bounds_there_are_no_histograms(clock: ManualClock) -> None:
    registry, recorded = make(clock), []
    histograms = Ledger(registry, durations=BOUNDS)
    samples = Ledger(registry, record=lambda *sample: recorded.append(sample))
    breaker = registry.breaker("payments")
    histograms.close()
    assert breaker.engine.dispatcher.durations.chain == ()
    await breaker.call(spend(clock, 2))
    assert durations(samples) == {}
    samples.hand_over()
    assert recorded == [("payments", "success", 2, None)]


async def test_a_closed_ledger_keeps_what_it_has_read_and_adds_nothing(clock: ManualClock) -> None:
    registry = make(clock, max_breakers=2)
    ledger, other = Ledger(registry, durations=BOUNDS), Ledger(registry, durations=BOUNDS)
    for name in ("gone", "payments"):
        await registry.breaker(name).call(spend(clock, 2))
    registry.breaker("new")
    gc.collect()
    ledger.close()
    await registry.breaker("payments").call(spend(clock, 2))
    registry.breaker("newer")
    gc.collect()
    for name in ("gone", "payments"):
        assert counts(ledger, name) == {"success": (0, 1, 1)}
    assert counts(other, "payments") == {"success": (0, 2, 2)}


# Breakers that are gone


async def test_the_durations_of_a_breaker_that_is_gone_stay_except_for_the_longest(clock: ManualClock) -> None:
    registry = make(clock, max_breakers=1)
    ledger = Ledger(registry, durations=BOUNDS)
    for _ in range(2):
        await registry.breaker("payments").call(spend(clock, 2))
        registry.breaker("other")
        gc.collect()
    assert registry.get("payments") is None
    assert durations(ledger) == {"success": ((0, 2, 2), 4, 0)}


async def test_no_bucket_decreases_when_breakers_are_evicted_and_made_again(clock: ManualClock) -> None:
    registry = make(clock, max_breakers=2, failure_threshold=100)
    ledgers = [Ledger(registry, durations=(1, 10))]
    known: list[dict[tuple[str, str], DurationTotals]] = [{}, {}, {}]
    for step in range(60):
        if step in {15, 30}:
            ledgers.append(Ledger(registry, durations=(step / 10, 10), max_breakers=2))
        name = f"host-{step % 4}"
        await registry.breaker(name).call(spend(clock, step % 12))
        fail(registry, name)
        if step % 3 == 0:
            gc.collect()
        for index, ledger in enumerate(ledgers):
            now = {
                (entry.name, outcome): totals for entry in ledger.read() for outcome, totals in entry.durations.items()
            }
            for key, totals in known[index].items():
                assert all(map(int.__le__, totals.counts, now[key].counts))
                assert totals.total_seconds <= now[key].total_seconds
            known[index] = now
    assert sum(totals.counts[-1] for totals in known[0].values()) == 120
    assert sum(totals.total_seconds for totals in known[0].values()) == sum(step % 12 for step in range(60))
    assert len({name for name, _ in known[2]}) == 3
    assert ("__other__", "success") in known[2]


async def test_measuring_keeps_no_breaker_alive(clock: ManualClock) -> None:
    class Client:
        def __init__(self, registry: BreakerRegistry) -> None:
            self.breaker = registry.add(CircuitBreaker("payments", expected_exception=self.is_failure))

        def is_failure(self, _: BaseException) -> bool:
            return True

    registry = make(clock, max_breakers=1)
    ledger = Ledger(registry, durations=BOUNDS, record=lambda *_: None)
    Client(registry)
    succeed(registry, "payments")
    registry.breaker("other")
    gc.collect()
    assert registry.get("payments") is None
    assert counts(ledger) == {"success": (1, 1, 1)}


async def test_a_dying_breaker_whose_totals_are_still_to_come_has_the_durations_that_it_measured(
    clock: ManualClock,
) -> None:
    registry = make(clock, max_breakers=1)
    ledger = Ledger(registry, durations=BOUNDS)
    breaker = registry.breaker("payments")
    await breaker.call(spend(clock, 2))
    [finaliser], breaker.engine.finalisers = breaker.engine.finalisers, ()
    del breaker
    registry.breaker("other")
    gc.collect()
    for _ in range(2):
        assert counts(ledger) == {"success": (0, 1, 1)}
        finaliser = None
    assert finaliser is None


async def test_a_closing_ledger_keeps_the_durations_of_breakers_that_live_die_and_are_gone(clock: ManualClock) -> None:
    registry = make(clock, max_breakers=1)
    ledger = Ledger(registry, durations=BOUNDS)
    for name in ("gone", "dying", "living"):
        breaker = registry.breaker(name)
        await breaker.call(spend(clock, 2))
        if name == "dying":
            [finaliser], breaker.engine.finalisers = breaker.engine.finalisers, ()
        del breaker
        gc.collect()
    ledger.close()
    del finaliser
    assert [counts(ledger, name) for name in ("gone", "dying", "living")] == 3 * [{"success": (0, 1, 1)}]


async def test_releasing_a_claim_that_is_not_there_changes_nothing(clock: ManualClock) -> None:
    breaker = make(clock).breaker("payments")
    claims = [Claim(BOUNDS, Samples(lambda *_: None)), Claim(BOUNDS)]
    assert release_durations(breaker.engine, claims[0]) == ()
    for _ in range(2):
        assert claim_durations(breaker.engine, claims[0]).samples == (claims[0].samples,)
    release_durations(breaker.engine, claims[1])
    assert is_measured(breaker)
    release_durations(breaker.engine, claims[0])
    assert not is_measured(breaker)


# Collectors


async def test_collectors_with_different_buckets_do_not_disturb_each_other(clock: ManualClock) -> None:
    registry = make(clock)
    collectors = [
        BreakerCollector(registry, durations=(1, 10)),
        BreakerCollector(registry, durations=(3,), naming="resilience4j"),
        BreakerCollector(registry, durations=(3, 10)),
    ]
    await registry.breaker("payments").call(spend(clock, 2))
    buckets = [scrape(collector).values("circuit_breaker_call_duration_seconds_bucket") for collector in collectors]
    assert {le: number for (le, *_), number in buckets[0].items()} == {"1.0": 0, "10.0": 1, "+Inf": 1}
    assert {le: number for (le, *_), number in buckets[2].items()} == {"3.0": 1, "10.0": 1, "+Inf": 1}
    assert scrape(collectors[1]).values("resilience4j_circuitbreaker_calls_seconds_sum")["successful", "payments"] == 2
    for collector in collectors:
        assert is_measured(registry.breaker("payments"))
        collector.close()
    assert not is_measured(registry.breaker("payments"))


@pytest.mark.parametrize(
    ("wanted", "error"), [((0, 1), ValueError), ((2, 1), ValueError), ("12", TypeError), ((1, "2"), TypeError)]
)
def test_bounds_that_are_no_bounds_are_refused(wanted: object, error: type[Exception]) -> None:
    message = "durations must be a sequence of bounds in seconds, each finite, > 0 and above the last, not"
    with pytest.raises(error, match=message):
        Ledger(BreakerRegistry(), durations=wanted)
