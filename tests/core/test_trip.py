import copy
import pickle
from dataclasses import FrozenInstanceError, fields
from typing import Any

import pytest

from recloser._core.defaults import AnyOf, slow_call_limit
from recloser._core.meters import (
    AnyMeter,
    FailureCountMeter,
    FailureRateMeter,
    RecentRunMeter,
    RunMeter,
    SlowCallRateMeter,
)
from recloser._core.trip import (
    ConsecutiveFailures,
    FailureCount,
    FailureRate,
    SlowCallRate,
    TripRule,
)
from recloser._core.windows import NEVER, CountWindow, TimeWindow
from tests.core.driver import Driver, F

INF = float("inf")
NAN = float("nan")

RUN = ConsecutiveFailures(3)
RECENT = ConsecutiveFailures(3, within_seconds=60)
RATE = FailureRate(0.5)
COUNT = FailureCount(4)
SLOW = SlowCallRate(0.25, slow_call_seconds=2)
RULES: list[TripRule] = [RUN, RECENT, RATE, COUNT, SLOW, RUN | RATE]


def test_defaults_are_the_documented_ones() -> None:
    assert ConsecutiveFailures() == ConsecutiveFailures(5, within_seconds=None)
    assert FailureRate() == FailureRate(0.5, window=CountWindow(100), minimum_calls=20)
    assert FailureCount() == FailureCount(5, window=TimeWindow(60, 10))
    assert SlowCallRate(0.25, slow_call_seconds=2.0, window=CountWindow(100), minimum_calls=20) == SLOW


@pytest.mark.parametrize(
    ("rule", "meter"),
    [
        (RUN, RunMeter),
        (RECENT, RecentRunMeter),
        (RATE, FailureRateMeter),
        (COUNT, FailureCountMeter),
        (SLOW, SlowCallRateMeter),
        (RUN | RATE, AnyMeter),
    ],
)
def test_each_breaker_makes_its_own_meter_from_a_shared_rule(rule: TripRule, meter: type[object]) -> None:
    one, other = Driver(trip_when=rule).machine.meter, Driver(trip_when=rule).machine.meter
    assert type(one) is type(other) is meter
    assert (one is other) == (meter is RunMeter)  # which has no state of its own


@pytest.mark.parametrize("rule", [RUN, RECENT, RATE, COUNT, SLOW, RUN | RATE])
def test_breakers_with_a_shared_rule_count_apart(rule: TripRule) -> None:
    one, other = Driver(trip_when=rule), Driver(trip_when=rule)
    one.call(F)
    assert (one.snapshot.failure_count, other.snapshot.failure_count) == (1, 0)


@pytest.mark.parametrize(
    ("rule", "threshold"),
    [(RUN, 3), (RECENT, 3), (RATE, 0.5), (COUNT, 4), (SLOW, 0.25), (COUNT | RATE, 4), (RATE | COUNT, 0.5)],
)
def test_the_threshold_is_the_first_number_of_the_first_rule(rule: TripRule, threshold: float) -> None:
    assert rule.threshold == threshold


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (RUN, "3 consecutive failures"),
        (ConsecutiveFailures(1), "1 consecutive failure"),
        (RECENT, "3 consecutive failures within 60 s"),
        (RATE, "failure rate of 50 % in the last 100 calls, from 20 calls on"),
        (FailureRate(0.5, window=TimeWindow(30)), "failure rate of 50 % in the last 30 s, from 20 calls on"),
        (COUNT, "4 failures in the last 60 s"),
        (FailureCount(1, window=CountWindow(10)), "1 failure in the last 10 calls"),
        (SLOW, "25 % calls longer than 2 s in the last 100 calls, from 20 calls on"),
        (RUN | COUNT, "3 consecutive failures | 4 failures in the last 60 s"),
    ],
)
def test_a_rule_says_when_it_trips(rule: TripRule, text: str) -> None:
    assert str(rule) == text


def test_combinations_are_flat_however_they_are_nested() -> None:
    assert (RUN | RATE) | COUNT == RUN | (RATE | COUNT) == AnyOf((RUN, RATE, COUNT))
    assert AnyOf((RUN, RATE, COUNT, SLOW)) == (RUN | RATE) | (COUNT | SLOW)


@pytest.mark.parametrize("other", [5, None, "rule", CountWindow(5)])
def test_a_rule_is_joined_to_rules_only(other: Any) -> None:  # noqa: ANN401 - all but rules
    for rule in (RUN, RUN | RATE):
        with pytest.raises(TypeError, match="unsupported operand"):
            rule | other
        with pytest.raises(TypeError, match="unsupported operand"):
            other | rule


@pytest.mark.parametrize("rule", RULES)
def test_rules_are_values(rule: TripRule) -> None:
    for twin in (copy.deepcopy(rule), pickle.loads(pickle.dumps(rule))):  # noqa: S301 - bytes made in the same line
        assert twin == rule
        assert hash(twin) == hash(rule)


@pytest.mark.parametrize("rule", RULES)
def test_rules_cannot_be_changed(rule: TripRule) -> None:
    for field in fields(rule):
        with pytest.raises(FrozenInstanceError):
            setattr(rule, field.name, 1)


@pytest.mark.parametrize(
    ("rule", "limit"),
    [
        (RUN, NEVER),
        (RUN | RATE, NEVER),
        (SLOW, 2.0),
        (RUN | SLOW, 2.0),
        (SLOW | SlowCallRate(0.9, slow_call_seconds=0.5), 0.5),
        (SLOW | SlowCallRate(0.9, slow_call_seconds=7), 2.0),
    ],
)
def test_a_probe_is_slow_above_the_lowest_limit(rule: TripRule, limit: float) -> None:
    assert slow_call_limit(rule) == limit


COUNTS: list[Any] = [0, -1]
RATES: list[Any] = [0, -0.5, 1.01, NAN, INF, 50]
SECONDS: list[Any] = [0, -1, NAN, INF, -INF]
NO_NUMBERS: list[Any] = [None, "5", True, [5]]


@pytest.mark.parametrize("value", COUNTS)
def test_a_count_below_one_is_refused(value: int) -> None:
    with pytest.raises(ValueError, match=f"^failures must be an integer >= 1, not {value}$"):
        ConsecutiveFailures(value)
    with pytest.raises(ValueError, match=f"^failures must be an integer >= 1, not {value}$"):
        FailureCount(value)
    with pytest.raises(ValueError, match=f"^minimum_calls must be an integer >= 1, not {value}$"):
        FailureRate(minimum_calls=value)
    with pytest.raises(ValueError, match=f"^minimum_calls must be an integer >= 1, not {value}$"):
        SlowCallRate(slow_call_seconds=1, minimum_calls=value)


@pytest.mark.parametrize("value", [*NO_NUMBERS, 5.0])
def test_a_count_that_is_no_integer_is_refused(value: Any) -> None:  # noqa: ANN401 - wrong types
    with pytest.raises(TypeError, match="^failures must be an integer >= 1, not "):
        ConsecutiveFailures(value)
    with pytest.raises(TypeError, match="^failures must be an integer >= 1, not "):
        FailureCount(value)
    with pytest.raises(TypeError, match="^minimum_calls must be an integer >= 1, not "):
        FailureRate(minimum_calls=value)
    with pytest.raises(TypeError, match="^minimum_calls must be an integer >= 1, not "):
        SlowCallRate(slow_call_seconds=1, minimum_calls=value)


@pytest.mark.parametrize("value", RATES)
def test_a_rate_outside_its_range_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match=f"^rate must be a rate with 0 < rate <= 1, not {value}$"):
        FailureRate(value)
    with pytest.raises(ValueError, match=f"^rate must be a rate with 0 < rate <= 1, not {value}$"):
        SlowCallRate(value, slow_call_seconds=1)


@pytest.mark.parametrize("value", NO_NUMBERS)
def test_a_rate_that_is_no_number_is_refused(value: Any) -> None:  # noqa: ANN401 - wrong types
    with pytest.raises(TypeError, match="^rate must be a rate with 0 < rate <= 1, not "):
        FailureRate(value)
    with pytest.raises(TypeError, match="^rate must be a rate with 0 < rate <= 1, not "):
        SlowCallRate(value, slow_call_seconds=1)


@pytest.mark.parametrize("value", SECONDS)
def test_a_duration_outside_its_range_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match=f"^within_seconds must be a finite number of seconds > 0, not {value}$"):
        ConsecutiveFailures(within_seconds=value)
    with pytest.raises(ValueError, match=f"^slow_call_seconds must be a finite number of seconds > 0, not {value}$"):
        SlowCallRate(slow_call_seconds=value)


@pytest.mark.parametrize("value", ["1", True, [1]])
def test_a_duration_that_is_no_number_is_refused(value: Any) -> None:  # noqa: ANN401 - wrong types
    with pytest.raises(TypeError, match="^within_seconds must be a finite number of seconds > 0, not "):
        ConsecutiveFailures(within_seconds=value)
    with pytest.raises(TypeError, match="^slow_call_seconds must be a finite number of seconds > 0, not "):
        SlowCallRate(slow_call_seconds=value)


@pytest.mark.parametrize("value", [60, None, "60 s", CountWindow])
def test_a_window_of_another_type_is_refused(value: Any) -> None:  # noqa: ANN401 - wrong types
    with pytest.raises(TypeError, match="^window must be a CountWindow or a TimeWindow, not "):
        FailureRate(window=value)
    with pytest.raises(TypeError, match="^window must be a CountWindow or a TimeWindow, not "):
        FailureCount(window=value)
    with pytest.raises(TypeError, match="^window must be a CountWindow or a TimeWindow, not "):
        SlowCallRate(slow_call_seconds=1, window=value)


def test_a_rule_that_could_never_trip_is_refused() -> None:
    text = r"must be <= the window's size \(10\), not 11: the rule could never trip$"
    with pytest.raises(ValueError, match=f"^minimum_calls {text}"):
        FailureRate(window=CountWindow(10), minimum_calls=11)
    with pytest.raises(ValueError, match=f"^failures {text}"):
        FailureCount(11, window=CountWindow(10))
    with pytest.raises(ValueError, match=f"^minimum_calls {text}"):
        SlowCallRate(slow_call_seconds=1, window=CountWindow(10), minimum_calls=11)


def test_a_rule_may_ask_for_the_whole_window() -> None:
    assert FailureRate(window=CountWindow(10), minimum_calls=10).minimum_calls == 10
    assert FailureCount(10, window=CountWindow(10)).failures == 10
    assert FailureRate(window=TimeWindow(1), minimum_calls=10**6).minimum_calls == 10**6


def test_a_run_that_has_to_be_remembered_has_a_greatest_length() -> None:
    with pytest.raises(ValueError, match="failures must be an integer from 1 to 1000000, not 10000000"):
        ConsecutiveFailures(10**7, within_seconds=1)
    assert ConsecutiveFailures(10**7).failures == 10**7
