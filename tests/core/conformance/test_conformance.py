"""Facts from the tests of other libraries: sequences of calls, and the states that follow.

`cases.json` describes them without code. Here each case that fits recloser's conventions drives the real machine. What
is said differently here, and how the fact is kept:

- A case written for a wait that ends at `>` fits, because it steps past the instant.
- `force` means a plain transition along the table: a machine forced to `open` goes there without an outcome, one forced
  to `half_open` waits until its reset timeout has elapsed and gives the first probe's permit back. Open for a given
  time is `force_open(for_seconds=...)`, whose state is called forced_open.
- `metrics_only` is our disabled.
- Counts of rejections are those since the last transition; all other metrics are those of the window.
- Reading changes nothing here, so half-open on reading is told by a reset timeout that is over.
- Nothing is reported when a rule is met while disabled, so how often that happens is not checked.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from recloser._core.backoff import ExponentialBackoff
from recloser._core.defaults import ConstantBackoff
from recloser._core.machine import Ticket
from recloser._core.meters import parts_of
from recloser._core.outcomes import Outcome
from recloser._core.states import CircuitState, Trigger
from recloser._core.trip import ConsecutiveFailures, FailureCount, FailureRate, SlowCallRate, TripRule
from recloser._core.windows import CountRing, CountWindow, Ring, TimeRing, TimeWindow, Window
from tests.core.driver import Driver

CASES = {case["id"]: case for case in json.loads((Path(__file__).parent / "cases.json").read_text())["cases"]}
OUTCOMES = {"S": Outcome.SUCCESS, "F": Outcome.FAILURE, "I": Outcome.IGNORED}

BY_RATE = "half-open is decided by the failure rate of several probes; here the first failure opens"
TOLERANT = "half-open tolerates failed probes; here the first failure opens"
STRICTLY = "trips at a rate strictly above the threshold; here at the threshold"
INTERVAL = "counts in fixed intervals that are emptied all at once; there is no such window here"
LEFT_OUT = {
    "r4j-half-open-fails": BY_RATE,
    "r4j-half-open-closes": BY_RATE,
    "r4j-ignored-outcome-releases-permit": BY_RATE,
    "r4j-half-open-times-out-to-open": "a timer ends half-open as a whole; here each probe has a limit",
    "gobreaker-custom-fixed-interval-exclusions": INTERVAL,
    "gobreaker-late-result-of-old-generation-dropped": INTERVAL,
    "failsafe-HalfOpenFailureWithFailureRatio": TOLERANT,
    "failsafe-HalfOpenFailureWithSuccessAndFailureRatios": TOLERANT,
    "failsafe-HalfOpenFailureWithSuccessRatioAndFailureThreshold": TOLERANT,
    "failsafe-HalfOpenSuccessWithFailureRatio": TOLERANT,
    "failsafe-HalfOpenSuccessWithSuccessAndFailureRatios": TOLERANT,
    "failsafe-HalfOpenSuccessWithSuccessRatio": TOLERANT,
    "cockatiel-sampled-half-open-closes": TOLERANT,
    "cockatiel-count-breaker": STRICTLY,
    "sentinel-slow-ratio": STRICTLY,
}
STATES = {"metrics_only": CircuitState.DISABLED}
COUNTED_STATES = {"opened": CircuitState.OPEN, "half_open": CircuitState.HALF_OPEN, "closed": CircuitState.CLOSED}
NOT_REPORTED = {"failure_rate_exceeded"}


class Run:
    """One case on its way through a machine."""

    def __init__(self, config: dict[str, Any]) -> None:
        half_open = config["half_open"]
        self.driver = Driver(
            trip_when=rule_of(config),
            reset_timeout_seconds=backoff_of(config["open"]),
            max_probes=half_open["permits"],
            success_threshold=half_open.get("close_after_successes", half_open["permits"]),
        )
        self.first: Ticket = self.driver.machine.epoch
        self.held: list[Ticket] = []
        self.named: dict[str, Ticket] = {}

    def step(self, step: dict[str, Any]) -> None:
        for _ in range(step.get("repeat", 1)):
            if step["do"] != "check":
                getattr(self, step["do"])(step)
        self.check(step)

    def call(self, step: dict[str, Any]) -> None:
        ticket = self.try_admit(step)
        if ticket is not None:
            self.driver.settle(ticket, OUTCOMES[step["outcome"]], step.get("duration", 0.0))

    def acquire(self, step: dict[str, Any]) -> None:
        ticket = self.try_admit(step)
        if ticket is not None:
            self.held.append(ticket)

    def release(self, _: dict[str, Any]) -> None:
        self.driver.settle(self.held.pop(0), Outcome.IGNORED)

    def record(self, step: dict[str, Any]) -> None:
        """Settle what was acquired, else a call of its own, else one that was admitted before all that happened."""
        ticket = self.held.pop(0) if self.held else self.driver.try_admit() or self.first
        self.driver.settle(ticket, OUTCOMES[step["outcome"]], step.get("duration", 0.0))

    def start(self, step: dict[str, Any]) -> None:
        ticket = self.try_admit(step)
        assert ticket is not None
        self.named[step["id"]] = ticket

    def finish(self, step: dict[str, Any]) -> None:
        self.driver.settle(self.named.pop(step["id"]), OUTCOMES[step["outcome"]])

    def advance(self, step: dict[str, Any]) -> None:
        self.driver.advance(step["seconds"])

    def reset(self, _: dict[str, Any]) -> None:
        self.driver.go(Trigger.RESET)

    def force(self, step: dict[str, Any]) -> None:
        if "error" in step:
            with pytest.raises(KeyError):
                self.driver.machine.transition(Trigger.WAIT_ELAPSED, self.driver.now)
        elif step["to"] == "forced_open" or "seconds" in step:
            self.driver.go(Trigger.FORCED_OPEN, reason="a case", for_seconds=step.get("seconds"))
        elif step["to"] == "metrics_only":
            self.driver.go(Trigger.DISABLED)
        elif step["to"] == "open":
            self.driver.go(Trigger.TRIPPED)
        else:
            self.driver.wait_out()
            self.driver.settle(self.driver.admit(), Outcome.IGNORED)

    def check(self, step: dict[str, Any]) -> None:
        for what, expected in step.get("expect", {}).items():
            getattr(self, f"check_{what}")(expected)

    def check_state(self, expected: str) -> None:
        snapshot = self.driver.snapshot
        forced_for_a_time = snapshot.state is CircuitState.FORCED_OPEN and snapshot.retry_after is not None
        assert STATES.get(expected, expected) == ("open" if forced_for_a_time else snapshot.state)

    def check_state_on_read(self, expected: str) -> None:
        assert expected == "half_open"
        assert (self.driver.state, self.driver.snapshot.retry_after) == (CircuitState.OPEN, 0.0)

    def check_retry_after(self, expected: float) -> None:
        assert self.driver.snapshot.retry_after == pytest.approx(expected)

    def check_events(self, expected: dict[str, int]) -> None:
        news = [transition.new for transition in self.driver.transitions]
        counted = {name: news.count(state) for name, state in COUNTED_STATES.items()}
        counted["rejected"] = self.driver.snapshot.rejected_total
        counted["state_transition_since_metrics_only"] = len(self.driver.transitions) - 1
        assert {name: counted[name] for name in expected if name not in NOT_REPORTED} == {
            name: count for name, count in expected.items() if name not in NOT_REPORTED
        }

    def check_metrics(self, expected: dict[str, Any]) -> None:
        driver = self.driver
        machine, snapshot = driver.machine, driver.snapshot
        calls, failures = failure_ring(machine.meter).peek(machine.epoch.successes, driver.now)
        before = driver.transitions[-1].snapshot.rejected_total if driver.transitions else 0
        measured = {
            "failure_rate": "undefined" if snapshot.failure_rate is None else snapshot.failure_rate,
            "slow_rate": snapshot.slow_call_rate,
            "slow": round((snapshot.slow_call_rate or 0) * calls),
            "buffered": calls,
            "failures": failures,
            "successes": calls - failures,
            "rejected": snapshot.rejected_total - before,
        }
        assert {name: measured[name] for name in expected} == expected

    def try_admit(self, step: dict[str, Any]) -> Ticket | None:
        ticket = self.driver.try_admit()
        assert (ticket is not None) == step.get("admitted", True)
        return ticket


def failure_ring(meter: Any) -> Ring:  # noqa: ANN401 - looks into any meter that has a window
    """Return the window in which a meter, or the first of several, counts failures."""
    ring: Ring = parts_of(meter)[0].ring
    return ring


def window_of(config: dict[str, Any]) -> Window:
    window = config["window"]
    if window["type"] == "count":
        return CountWindow(window["size"])
    return TimeWindow(window["seconds"], window.get("buckets", 10))


def rule_of(config: dict[str, Any]) -> TripRule:
    trip = config.get("trip", {})
    if config["window"]["type"] in {"consecutive", "scripted"}:
        return ConsecutiveFailures(trip.get("consecutive_failures", 5))
    window = window_of(config)
    if "failures" in trip:
        return FailureCount(trip["failures"], window=window)
    rule = FailureRate(trip["failure_rate"], window=window, minimum_calls=trip["min_calls"])
    if "slow_rate" not in trip:
        return rule
    return rule | SlowCallRate(
        trip["slow_rate"],
        slow_call_seconds=trip["slow_call_seconds"],
        window=window,
        minimum_calls=trip["min_calls"],
    )


def backoff_of(config: dict[str, Any]) -> ConstantBackoff | ExponentialBackoff:
    times = config.get("seconds_by_attempt")
    if times is None:
        return ConstantBackoff(config["seconds"])
    return ExponentialBackoff(initial_seconds=times[0], multiplier=2, maximum_seconds=times[-1], jitter=0)


RUNNABLE = sorted(CASES.keys() - LEFT_OUT)
WINDOWS = [name for name in RUNNABLE if CASES[name].get("component") == "window_only"]


@pytest.mark.parametrize("name", [name for name in RUNNABLE if name not in WINDOWS])
def test_the_machine_agrees_with_a_case_of_another_library(name: str) -> None:
    play_all(Run(CASES[name]["config"]), CASES[name]["steps"])


@pytest.mark.parametrize("name", WINDOWS)
def test_a_window_agrees_with_a_case_of_another_library(name: str) -> None:
    config = CASES[name]["config"]
    ring, minimum = window_of(config).ring(0), config["trip"]["min_calls"]
    play(ring, minimum, CASES[name]["steps"])


def play(ring: CountRing | TimeRing, minimum: int, steps: list[dict[str, Any]]) -> None:
    others, now = 0, 0.0

    def take(step: dict[str, Any]) -> None:
        nonlocal others, now
        for _ in range(step.get("repeat", step.get("times", 1))):
            if step["do"] == "repeat_block":
                for inner in step["steps"]:
                    take(inner)
            elif step["do"] == "advance":
                now += step["seconds"]
            elif step["do"] == "record" and step["outcome"] == "F":
                ring.hit(others, now)
            elif step["do"] == "record":
                others += 1
                ring.settle(others, now)
        calls, failures = ring.peek(others, now)
        measured = {
            "buffered": calls,
            "failures": failures,
            "successes": calls - failures,
            "failure_rate": failures / calls if calls >= minimum else "undefined",
        }
        expected = step.get("expect", {}).get("metrics", {})
        assert {name: measured[name] for name in expected} == expected

    for step in steps:
        take(step)


def test_at_least_25_of_the_43_cases_run() -> None:
    assert len(CASES) == 43
    assert len(RUNNABLE) == 28


def test_every_case_that_is_left_out_exists_and_has_a_reason() -> None:
    assert len(LEFT_OUT) == 15
    assert LEFT_OUT.keys() <= CASES.keys()
    assert all(LEFT_OUT.values())


@pytest.mark.parametrize("name", [name for name, reason in LEFT_OUT.items() if reason is STRICTLY])
def test_a_case_that_is_left_out_because_of_its_comparison_says_so(name: str) -> None:
    assert CASES[name]["config"]["trip"]["cmp"] == ">"


@pytest.mark.parametrize("name", [name for name, reason in LEFT_OUT.items() if reason is INTERVAL])
def test_a_case_that_is_left_out_because_of_its_window_has_such_a_window(name: str) -> None:
    assert CASES[name]["config"]["window"]["type"] == "fixed_interval"


@pytest.mark.parametrize("name", [name for name, reason in LEFT_OUT.items() if reason in {TOLERANT, BY_RATE}])
def test_a_case_that_is_left_out_because_of_half_open_does_not_fit(name: str) -> None:
    config = CASES[name]["config"]
    run = Run({**config, "half_open": {**config["half_open"], "permits": 10}})
    with pytest.raises(AssertionError):
        play_all(run, CASES[name]["steps"])


def play_all(run: Run, steps: list[dict[str, Any]]) -> None:
    for step in steps:
        run.step(step)
