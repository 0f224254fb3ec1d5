"""`BreakerCollector`: what breakers do, as Prometheus sees it."""

import gc
import math
import random
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from threading import Event as Signal
from threading import Thread

import anyio
import pytest
import time_machine
from prometheus_client import CollectorRegistry

from recloser import (
    BreakerRegistry,
    CircuitBreaker,
    CircuitBreakerOpenError,
    CountWindow,
    FailureCount,
    FailureRate,
    SlowCallRate,
)
from recloser.telemetry.prometheus import BreakerCollector
from recloser.testing import ManualClock
from tests.telemetry.kit import DownError, answer, break_down, fail, live, make, succeed, take
from tests.telemetry.scrapes import Scrape, scrape, scrape_over_http, served

pytestmark = pytest.mark.anyio

NOON = datetime(2030, 1, 2, 12, tzinfo=UTC)
WINDOW = CountWindow(10)
RATES = FailureRate(0.9, window=WINDOW, minimum_calls=2) | SlowCallRate(
    0.9, slow_call_seconds=1, window=WINDOW, minimum_calls=2
)


async def test_calls_are_told_by_outcome(clock: ManualClock) -> None:
    registry = make(clock)
    collector = BreakerCollector(registry)
    await live(registry, "payments", clock)
    told = scrape(collector)
    assert told.values("circuit_breaker_calls_total") == {
        ("payments", "success"): 2,
        ("payments", "failure"): 3,
        ("payments", "ignored"): 1,
        ("payments", "cancelled"): 0,
        ("payments", "late"): 1,
        ("payments", "leaked"): 0,
    }
    assert told.value("circuit_breaker_rejections_total", name="payments") == 1
    assert told.value("circuit_breaker_probes_total", name="payments") == 2


async def test_calls_that_shadow_mode_lets_through_are_told_apart(clock: ManualClock) -> None:
    registry = make(clock, shadow=True)
    collector = BreakerCollector(registry)
    registry.breaker("search")
    fail(registry, "payments", 5)
    succeed(registry, "payments")
    told = scrape(collector)
    assert told.values("circuit_breaker_shadow") == {("payments",): 1, ("search",): 1}
    assert told.value("circuit_breaker_rejections_total", name="payments") == 0
    assert told.values("circuit_breaker_shadow_rejections_total") == {("payments",): 4}
    assert told.values("circuit_breaker_shadow_calls_total") == {("payments", "failure"): 3, ("payments", "success"): 1}
    assert told.value("circuit_breaker_calls_total", name="payments", outcome="failure") == 2
    registry.reconfigure(shadow=False)
    told = scrape(collector)
    assert told.values("circuit_breaker_shadow") == {("payments",): 0, ("search",): 0}
    assert told.value("circuit_breaker_shadow_rejections_total", name="payments") == 4


async def test_transitions_are_told_by_states_and_cause(clock: ManualClock) -> None:
    registry = make(clock)
    collector = BreakerCollector(registry)
    await live(registry, "payments", clock)
    labels = scrape(collector).values("circuit_breaker_transitions_total")
    assert labels == {  # cause, name, new state, old state
        ("tripped", "payments", "open", "closed"): 1,
        ("wait_elapsed", "payments", "half_open", "open"): 2,
        ("probe_failed", "payments", "open", "half_open"): 1,
        ("probes_passed", "payments", "closed", "half_open"): 1,
    }


async def test_the_state_is_1_for_the_one_that_the_breaker_is_in(clock: ManualClock) -> None:
    registry = make(clock)
    collector = BreakerCollector(registry)
    registry.breaker("payments").force_open("maintenance")
    assert scrape(collector).values("circuit_breaker_state") == {
        ("payments", "closed"): 0,
        ("payments", "open"): 0,
        ("payments", "half_open"): 0,
        ("payments", "forced_open"): 1,
        ("payments", "disabled"): 0,
    }


async def test_probes_that_are_under_way_are_told(clock: ManualClock) -> None:
    registry = make(clock, max_probes=3)
    collector = BreakerCollector(registry)
    fail(registry, "payments", 2)
    clock.advance(60)
    permits = [await registry.breaker("payments").acquire() for _ in range(2)]
    assert scrape(collector).value("circuit_breaker_probes_in_flight", name="payments") == 2
    for permit in permits:
        permit.ignore()


async def test_times_are_told_in_seconds(clock: ManualClock) -> None:
    registry = make(clock)
    collector = BreakerCollector(registry)
    fail(registry, "payments", 2)
    clock.advance(12.5)
    with time_machine.travel(NOON, tick=False):
        told = scrape(collector)
    changed = told.value("circuit_breaker_last_transition_timestamp_seconds", name="payments")
    assert changed == NOON.timestamp() - 12.5
    assert told.value("circuit_breaker_retry_after_seconds", name="payments") == 47.5


async def test_the_time_of_a_transition_stays_when_the_clocks_drift_apart(clock: ManualClock) -> None:
    registry = make(clock)
    collector = BreakerCollector(registry)
    registry.breaker("idle")
    registry.breaker("payments").force_open("maintenance")
    seen = []
    for seconds in (0, 50, 100):
        with time_machine.travel(NOON + timedelta(seconds=seconds), tick=False):
            seen.append(scrape(collector).values("circuit_breaker_last_transition_timestamp_seconds"))
        clock.advance(10)
    assert seen == [{("payments",): NOON.timestamp()}] * 3
    registry.breaker("payments").reset()
    with time_machine.travel(NOON + timedelta(seconds=200), tick=False):
        seen = scrape(collector).values("circuit_breaker_last_transition_timestamp_seconds")
    assert seen == {("payments",): NOON.timestamp() + 200}


async def test_a_time_that_is_not_known_is_absent(clock: ManualClock) -> None:
    registry = make(clock)
    collector = BreakerCollector(registry)
    registry.breaker("payments").force_open("maintenance")
    assert scrape(collector).values("circuit_breaker_retry_after_seconds") == {}


async def test_the_trip_rules_figures_are_told(clock: ManualClock) -> None:
    registry = make(clock, failure_threshold=5)
    collector = BreakerCollector(registry)
    fail(registry, "payments", 3)
    told = scrape(collector)
    assert told.value("circuit_breaker_counted_failures", name="payments") == 3
    assert told.value("circuit_breaker_failure_threshold", name="payments") == 5
    assert told.values("circuit_breaker_failure_ratio") == {}


async def test_rates_are_told_from_0_to_1_once_they_are_defined(clock: ManualClock) -> None:
    registry = BreakerRegistry(clock=clock, trip_when=RATES)
    collector = BreakerCollector(registry)
    fail(registry, "payments")
    assert scrape(collector).values("circuit_breaker_failure_ratio") == {}
    succeed(registry, "payments")
    told = scrape(collector)
    assert told.value("circuit_breaker_failure_ratio", name="payments") == 0.5
    assert told.value("circuit_breaker_slow_call_ratio", name="payments") == 0
    assert told.values("circuit_breaker_failure_threshold") == {}


async def test_a_share_of_all_calls_is_no_number_of_failures(clock: ManualClock) -> None:
    registry = BreakerRegistry(clock=clock)
    collector = BreakerCollector(registry)
    registry.breaker("share", trip_when=FailureRate(1, minimum_calls=1))
    registry.breaker("share first", trip_when=FailureRate(1, minimum_calls=1) | FailureCount(7))
    registry.breaker("count first", trip_when=FailureCount(7) | FailureRate(1, minimum_calls=1))
    assert scrape(collector).values("circuit_breaker_failure_threshold") == {("count first",): 7}


async def test_all_others_add_up_without_what_cannot_be_added(clock: ManualClock) -> None:
    registry = make(clock, trip_when=RATES, failure_threshold=None)
    collector = BreakerCollector(registry, max_breakers=1, durations=True)
    for name in ("first", "second", "third"):
        succeed(registry, name)
        fail(registry, name)
    fail(registry, "third", 8)
    told = scrape(collector)
    assert told.labels("name") == {"first", "__other__"}
    assert told.value("circuit_breaker_calls_total", name="__other__", outcome="success") == 2
    assert told.value("circuit_breaker_state", name="__other__", state="closed") == 1
    assert told.value("circuit_breaker_state", name="__other__", state="open") == 1
    assert told.value("circuit_breaker_probes_in_flight", name="__other__") == 0
    assert ("tripped", "__other__", "open", "closed") in told.values("circuit_breaker_transitions_total")
    assert told.value("circuit_breaker_call_duration_seconds_count", name="__other__", outcome="success") == 2
    only_of_one = {
        "circuit_breaker_retry_after_seconds",
        "circuit_breaker_counted_failures",
        "circuit_breaker_failure_ratio",
        "circuit_breaker_slow_call_ratio",
    }
    assert told.values("circuit_breaker_last_transition_timestamp_seconds") == {}  # only one of the others has opened
    assert {metric for metric in only_of_one if told.value(metric, name="__other__") is not None} == set()
    assert {metric for metric in only_of_one if told.value(metric, name="first") is None} == set()


async def test_of_a_breaker_that_is_gone_only_the_counters_are_told(clock: ManualClock) -> None:
    registry = make(clock, max_breakers=1)
    collector = BreakerCollector(registry)
    await live(registry, "payments", clock)
    registry.breaker("other")
    gc.collect()
    told = scrape(collector)
    assert told.value("circuit_breaker_calls_total", name="payments", outcome="success") == 2
    assert told.value("circuit_breaker_state", name="payments", state="closed") is None
    assert told.value("circuit_breaker_probes_in_flight", name="payments") is None


async def test_durations_are_a_histogram_in_seconds_by_outcome(clock: ManualClock) -> None:
    registry = make(clock)
    collector = BreakerCollector(registry, durations=(0.125, 1, 10))
    for seconds in (0.125, 0.5, 30):
        async with registry.breaker("payments").guard():
            clock.advance(seconds)
    ignored = take(registry, "payments")
    clock.advance(2)
    ignored.ignore()
    fail(registry, "payments")
    told = scrape(collector)
    assert told.values("circuit_breaker_call_duration_seconds_bucket") == {
        ("0.125", "payments", "success"): 1,
        ("1.0", "payments", "success"): 2,
        ("10.0", "payments", "success"): 2,
        ("+Inf", "payments", "success"): 3,
        ("0.125", "payments", "ignored"): 0,
        ("1.0", "payments", "ignored"): 0,
        ("10.0", "payments", "ignored"): 1,
        ("+Inf", "payments", "ignored"): 1,
        ("0.125", "payments", "failure"): 1,
        ("1.0", "payments", "failure"): 1,
        ("10.0", "payments", "failure"): 1,
        ("+Inf", "payments", "failure"): 1,
    }
    total = told.value("circuit_breaker_call_duration_seconds_sum", name="payments", outcome="success")
    assert total == 30.625


async def test_a_call_that_began_before_anybody_measured_has_no_duration(clock: ManualClock) -> None:
    registry = make(clock, overdue_after_seconds=math.inf)
    permit = take(registry, "payments")
    collector = BreakerCollector(registry, durations=True)
    permit.succeed()
    assert scrape(collector).values("circuit_breaker_call_duration_seconds_count") == {}


async def test_without_durations_calls_stay_on_the_closed_path(clock: ManualClock) -> None:
    registry = make(clock)
    plain = BreakerCollector(registry)
    assert registry.breaker("payments").engine.watch is None
    timing = BreakerCollector(registry, durations=True)
    assert registry.breaker("payments").engine.watch is not None
    timing.close()
    assert registry.breaker("payments").engine.watch is None
    plain.close()
    assert not registry.fan_in.dispatcher.entries


async def test_the_collector_registers_with_whoever_is_asked(clock: ManualClock) -> None:
    registry, ours = make(clock), CollectorRegistry()
    ours.register(BreakerCollector(registry))
    succeed(registry, "payments")
    assert ours.get_sample_value("circuit_breaker_calls_total", {"name": "payments", "outcome": "success"}) == 1


async def test_strange_names_survive_the_exposition(clock: ManualClock) -> None:
    registry = make(clock)
    collector = BreakerCollector(registry)
    name = 'a "quoted" \\ back\nslash ü'
    succeed(registry, name)
    assert scrape(collector).labels("name") == {name}


# By the names of resilience4j


async def test_resilience4j_names_are_told_on_request(clock: ManualClock) -> None:
    registry = make(clock)
    collector = BreakerCollector(registry, naming="resilience4j")
    await live(registry, "payments", clock)
    told = scrape(collector)
    assert told.values("resilience4j_circuitbreaker_state") == {
        ("payments", "closed"): 1,
        ("payments", "open"): 0,
        ("payments", "half_open"): 0,
        ("payments", "forced_open"): 0,
        ("payments", "disabled"): 0,
        ("payments", "metrics_only"): 0,
    }
    assert told.values("resilience4j_circuitbreaker_calls_seconds_count") == {
        ("successful", "payments"): 2,
        ("failed", "payments"): 3,
        ("ignored", "payments"): 1,
    }
    assert told.values("resilience4j_circuitbreaker_not_permitted_calls_total") == {("not_permitted", "payments"): 1}
    assert told.values("resilience4j_circuitbreaker_failure_rate") == {("payments",): -1}
    assert told.values("resilience4j_circuitbreaker_slow_call_rate") == {("payments",): -1}
    assert told.values("resilience4j_circuitbreaker_buffered_calls") == {("failed", "payments"): 0}
    assert {family.name.startswith("resilience4j_circuitbreaker_") for family in told.families} == {True}


async def test_a_breaker_in_shadow_mode_only_counts_for_dashboards_of_resilience4j(clock: ManualClock) -> None:
    registry = make(clock, shadow=True)
    collector = BreakerCollector(registry, naming="resilience4j")
    fail(registry, "payments", 3)
    told = scrape(collector)
    states = told.values("resilience4j_circuitbreaker_state")
    assert {state: value for (_, state), value in states.items() if value} == {"metrics_only": 1}
    assert told.values("resilience4j_circuitbreaker_not_permitted_calls_total") == {("not_permitted", "payments"): 0}


async def test_resilience4j_rates_are_percentages(clock: ManualClock) -> None:
    registry = BreakerRegistry(clock=clock, trip_when=RATES)
    collector = BreakerCollector(registry, naming="resilience4j")
    fail(registry, "payments")
    succeed(registry, "payments")
    assert scrape(collector).value("resilience4j_circuitbreaker_failure_rate", name="payments") == 50


async def test_resilience4j_durations_have_a_sum_and_a_maximum(clock: ManualClock) -> None:
    registry = make(clock)
    collector = BreakerCollector(registry, naming="resilience4j", durations=True)
    for seconds in (1, 4, 2):
        async with registry.breaker("payments").guard():
            clock.advance(seconds)
    told = scrape(collector)
    assert told.value("resilience4j_circuitbreaker_calls_seconds_sum", name="payments", kind="successful") == 7
    assert told.value("resilience4j_circuitbreaker_calls_seconds_sum", name="payments", kind="failed") == 0
    assert told.values("resilience4j_circuitbreaker_calls_seconds_max") == {("successful", "payments"): 4}


async def test_resilience4j_names_add_up_all_others_too(clock: ManualClock) -> None:
    registry = make(clock)
    collector = BreakerCollector(registry, naming="resilience4j", max_breakers=1)
    for name in "abc":
        succeed(registry, name)
    told = scrape(collector)
    assert told.value("resilience4j_circuitbreaker_calls_seconds_count", name="__other__", kind="successful") == 2
    assert told.value("resilience4j_circuitbreaker_state", name="__other__", state="closed") == 2
    assert told.values("resilience4j_circuitbreaker_buffered_calls") == {("failed", "a"): 0}


async def test_of_a_breaker_that_is_gone_resilience4j_names_tell_only_the_counters(clock: ManualClock) -> None:
    registry = make(clock, max_breakers=1)
    collector = BreakerCollector(registry, naming="resilience4j")
    succeed(registry, "payments")
    registry.breaker("other")
    gc.collect()
    told = scrape(collector)
    assert told.value("resilience4j_circuitbreaker_calls_seconds_count", name="payments", kind="successful") == 1
    assert told.value("resilience4j_circuitbreaker_state", name="payments", state="closed") is None


async def test_the_longest_call_is_forgotten_after_two_minutes(clock: ManualClock) -> None:
    registry = make(clock)
    collector = BreakerCollector(registry, naming="resilience4j", durations=True)
    longest = []
    async with registry.breaker("payments").guard():
        clock.advance(5)
    for _ in range(3):
        longest += scrape(collector).values("resilience4j_circuitbreaker_calls_seconds_max").values()
        clock.advance(60)
    assert longest == [5, 5, 0]


# Over HTTP


@pytest.mark.parametrize("naming", ["recloser", "resilience4j"])
@pytest.mark.parametrize("durations", [False, True], ids=["counts", "durations"])
def test_a_scrape_over_http_tells_the_same_in_every_format(clock: ManualClock, naming: str, *, durations: bool) -> None:
    registry = make(clock)
    collector = BreakerCollector(registry, naming=naming, durations=durations)
    anyio.run(live, registry, "payments", clock)
    with served(collector) as address:
        told = [scrape_over_http(address, openmetrics=openmetrics).samples for openmetrics in (False, True)]
    assert told == 2 * [scrape(collector).samples]


class Prometheus(Thread):
    """Scrapes a collector over HTTP, again and again, in a thread of its own."""

    def __init__(self, collector: BreakerCollector, *, openmetrics: bool) -> None:
        super().__init__()
        self.collector = collector
        self.openmetrics = openmetrics
        self.scrapes: list[Scrape] = []
        self.error: BaseException | None = None
        self.is_done = Signal()

    def run(self) -> None:
        try:
            with served(self.collector) as address:
                while len(self.scrapes) < 15:
                    self.scrapes.append(scrape_over_http(address, openmetrics=self.openmetrics))
        except BaseException as error:  # noqa: BLE001 - raised in the thread of the test
            self.error = error
        self.is_done.set()


@pytest.mark.parametrize("openmetrics", [False, True], ids=["text", "openmetrics"])
async def test_counters_never_go_back_and_series_stay_bounded_while_breakers_come_and_go(*, openmetrics: bool) -> None:
    registry = BreakerRegistry(max_breakers=3, failure_threshold=2, reset_timeout_seconds=0.001)
    collector = BreakerCollector(registry, max_breakers=5, durations=True)
    prometheus = Prometheus(collector, openmetrics=openmetrics)
    prometheus.start()
    ended, rng = Counter(), random.Random(7)
    while not prometheus.is_done.is_set():
        try:
            await registry.breaker(f"host-{rng.randrange(20)}").call(answer if rng.random() < 0.7 else break_down)
            ended["success"] += 1
        except DownError:
            ended["failure"] += 1
        except CircuitBreakerOpenError:
            ended["rejected"] += 1
    prometheus.join()
    if prometheus.error is not None:
        raise prometheus.error
    gc.collect()
    scrapes = [*prometheus.scrapes, scrape(collector)]
    known: dict[object, float] = {}
    for told in scrapes:
        now = told.counters()
        assert len(told.labels("name")) <= 6
        assert {series for series in known if now.get(series, -math.inf) < known[series]} == set()
        known = now
    calls = scrapes[-1].values("circuit_breaker_calls_total")
    for outcome in ("success", "failure"):
        assert sum(number for (_, how), number in calls.items() if how == outcome) == ended[outcome] > 0
    assert sum(scrapes[-1].values("circuit_breaker_rejections_total").values()) == ended["rejected"]
    durations = scrapes[-1].values("circuit_breaker_call_duration_seconds_count")
    assert sum(durations.values()) == ended["success"] + ended["failure"]


# What is refused


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"naming": "micrometer"}, ValueError, "naming must be 'recloser' or 'resilience4j', not 'micrometer'"),
        ({"max_breakers": 0}, ValueError, "max_breakers must be an integer >= 1, not 0"),
        ({"max_breakers": "5"}, TypeError, "max_breakers must be an integer >= 1, not '5'"),
        ({"durations": None}, TypeError, "durations must be True, False, or a sequence of bounds"),
        ({"durations": "fast"}, TypeError, "durations must be True, False, or a sequence of bounds"),
        ({"durations": (1, "2")}, TypeError, "durations must be True, False, or a sequence of bounds"),
        ({"durations": (True, 2)}, TypeError, "durations must be True, False, or a sequence of bounds"),
        ({"durations": ()}, ValueError, "each finite, > 0 and above the last"),
        ({"durations": (0, 1)}, ValueError, "each finite, > 0 and above the last"),
        ({"durations": (2, 1)}, ValueError, "each finite, > 0 and above the last"),
        ({"durations": (1, math.inf)}, ValueError, "each finite, > 0 and above the last"),
        ({"durations": (math.nan,)}, ValueError, "each finite, > 0 and above the last"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused(arguments: dict[str, object], error: type[Exception], message: str) -> None:
    registry = BreakerRegistry()
    with pytest.raises(error, match=message):
        BreakerCollector(registry, **arguments)
    assert not registry.fan_in.dispatcher.entries


def test_what_is_no_registry_is_refused() -> None:
    with pytest.raises(TypeError, match="registry must be a BreakerRegistry, not <CircuitBreaker 'payments' closed>"):
        BreakerCollector(CircuitBreaker("payments"))


@pytest.mark.parametrize(
    ("module", "library", "extra"),
    [
        ("prometheus", "prometheus_client", "prometheus"),
        ("opentelemetry", "opentelemetry", "opentelemetry"),
    ],
)
def test_a_missing_library_is_an_import_error_that_names_the_extra(module: str, library: str, extra: str) -> None:
    script = f"import sys; sys.modules[{library!r}] = None; import recloser.telemetry.{module}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"pip install 'recloser[{extra}]'" in done.stderr.splitlines()[-1]
