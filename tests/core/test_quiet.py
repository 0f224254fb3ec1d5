"""A meter that is told only of the successes that it asks for knows as much as one that is told of all."""

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from recloser._core.defaults import slow_call_limit
from recloser._core.meters import RuleMeter
from recloser._core.trip import ConsecutiveFailures, FailureCount, FailureRate, SlowCallRate, TripRule
from recloser._core.windows import CountWindow, TimeWindow
from tests.effort import FULL

WINDOWS = st.sampled_from(
    [CountWindow(3), CountWindow(8), TimeWindow(1, 1), TimeWindow(1, 10), TimeWindow(3, 3), TimeWindow(0.7, 4)]
)
FRACTIONS = st.sampled_from([0.2, 0.25, 1 / 3, 0.5, 0.6, 0.75, 1.0])

SINGLE_RULES: st.SearchStrategy[TripRule] = st.one_of(
    st.builds(ConsecutiveFailures, st.integers(1, 4)),
    st.builds(ConsecutiveFailures, st.integers(1, 4), within_seconds=st.sampled_from([0.5, 2.0])),
    st.builds(FailureRate, FRACTIONS, window=WINDOWS, minimum_calls=st.integers(1, 3)),
    st.builds(FailureRate, FRACTIONS, window=WINDOWS, minimum_calls=st.integers(1, 3)),
    st.builds(FailureCount, st.integers(1, 3), window=WINDOWS),
    st.builds(SlowCallRate, FRACTIONS, slow_call_seconds=st.just(1.0), window=WINDOWS, minimum_calls=st.integers(1, 3)),
)
RULES = st.one_of(
    SINGLE_RULES,
    st.builds(lambda a, b: a | b, SINGLE_RULES, SINGLE_RULES),
    st.builds(lambda a, b, c: a | b | c, SINGLE_RULES, SINGLE_RULES, SINGLE_RULES),
)

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["success", "success", "success", "failure"]),
        st.sampled_from([0.0, 0.0, 0.0, 0.05, 0.1, 0.3, 1.0, 2.9, 10.0]) | st.floats(0, 1.5) | st.floats(-1, 0),
        st.sampled_from([0.5, 1.0, 1.5]),
    ),
    max_size=50,
)


@dataclass
class Counts:
    successes: int = 0
    failures: int = 0
    run_after: int = 0
    run_from: int = 0


class Pair:
    """Two meters of one rule, of which one is told of everything."""

    def __init__(self, rule: TripRule, now: float) -> None:
        self.counts = Counts(5, 2, 5, 2)
        self.told = rule.meter(self.counts)
        self.quiet = rule.meter(self.counts)
        self.slow_call_seconds = slow_call_limit(rule)
        self.now = now

    def step(self, what: str, duration: float) -> tuple[bool, bool]:
        if what == "failure":
            self.counts.failures += 1
            return (
                self.told.failure(self.counts, self.now, duration),
                self.quiet.failure(self.counts, self.now, duration),
            )
        self.counts.successes += 1
        met = self.told.success(self.counts, self.now, duration)
        asked = self.now >= self.quiet.quiet_until or duration > self.slow_call_seconds
        return met, asked and self.quiet.success(self.counts, self.now, duration)

    def readings(self, meter: RuleMeter) -> tuple[object, ...]:
        return tuple(
            read(self.counts, now)
            for read in (meter.failure_count, meter.failure_rate, meter.slow_call_rate, meter.evidence)
            for now in (self.now, self.now + 0.7)
        )


@given(rule=RULES, start=st.sampled_from([0.0, 0.3, 1e6]), steps=STEPS)
@settings(max_examples=max(settings.default.max_examples, 1000 if FULL else 300), deadline=None)
def test_a_meter_trips_at_the_same_call_if_it_is_told_only_of_the_successes_that_it_asks_for(
    rule: TripRule, start: float, steps: list[tuple[str, float, float]]
) -> None:
    pair = Pair(rule, start)
    for what, gap, duration in steps:
        pair.now += gap
        told, quiet = pair.step(what, duration)
        assert told == quiet
        assert pair.readings(pair.told) == pair.readings(pair.quiet)
        if told:
            assert pair.told.evidence(pair.counts, pair.now) is not None
            pair.told.clear(pair.counts)
            pair.quiet.clear(pair.counts)


@given(rule=RULES, start=st.sampled_from([0.0, 0.3]), steps=STEPS)
@settings(deadline=None)
def test_the_flags_of_a_meter_are_honest(rule: TripRule, start: float, steps: list[tuple[str, float, float]]) -> None:
    pair = Pair(rule, start)
    others = Pair(rule, start)
    for what, gap, duration in steps:
        pair.now += gap
        others.now = pair.now if pair.told.needs_clock else start
        met, _ = pair.step(what, duration)
        assert others.step(what, duration if others.told.needs_duration else 0.0)[0] == met
        if met:
            pair.told.clear(pair.counts)
            others.told.clear(others.counts)


@given(rule=RULES, steps=STEPS)
@settings(deadline=None)
def test_reading_a_meter_changes_nothing(rule: TripRule, steps: list[tuple[str, float, float]]) -> None:
    read, unread = Pair(rule, 0.0), Pair(rule, 0.0)
    for what, gap, duration in steps:
        read.now = unread.now = read.now + gap
        assert read.step(what, duration) == unread.step(what, duration)
        read.readings(read.told)
        read.readings(read.quiet)
    assert read.readings(read.quiet) == unread.readings(unread.quiet)
