"""`CircuitBreaker(...)`: names, defaults, and arguments that are refused."""

import random
from decimal import Decimal
from fractions import Fraction
from random import Random

import pytest

from recloser import (
    CircuitBreaker,
    CircuitState,
    ConsecutiveFailures,
    ExponentialBackoff,
    FailureRate,
)
from recloser.testing import ManualClock
from tests.breaker.kit import answer, fail_once

NAN, INFINITY = float("nan"), float("inf")


def test_the_defaults_are_those_of_the_pattern() -> None:
    breaker = CircuitBreaker("payments")
    assert (breaker.failure_threshold, breaker.reset_timeout_seconds) == (5, 60)
    assert breaker.expected_exception is Exception
    assert (breaker.state, breaker.failure_count, breaker.generation) == (CircuitState.CLOSED, 0, 1)


def test_the_three_arguments_of_the_pattern_work_without_a_name() -> None:
    breaker = CircuitBreaker(failure_threshold=3, reset_timeout_seconds=30, expected_exception=OSError)
    assert (breaker.failure_threshold, breaker.reset_timeout_seconds) == (3, 30)
    assert breaker.expected_exception is OSError


def test_a_breaker_without_a_name_gets_one_that_is_unique_in_the_process() -> None:
    names = [CircuitBreaker().name for _ in range(100)]
    assert len(set(names)) == 100
    assert all(name.startswith("breaker-") and name.removeprefix("breaker-").isdigit() for name in names)


def test_the_name_is_the_only_positional_argument() -> None:
    with pytest.raises(TypeError, match="positional"):
        CircuitBreaker("payments", 3)


@pytest.mark.parametrize("name", [42, b"payments", 5.0, ("payments",), CircuitState], ids=repr)
def test_a_name_that_is_no_string_is_refused(name: object) -> None:
    with pytest.raises(TypeError, match="name must be a string, not "):
        CircuitBreaker(name)


def test_a_breaker_made_without_a_loop_can_be_read() -> None:
    breaker = CircuitBreaker("payments")
    assert breaker.health()["state"] == "closed"
    assert "payments" in breaker.explain()


@pytest.mark.parametrize(
    ("argument", "value", "wanted"),
    [
        ("failure_threshold", 0, "an integer >= 1"),
        ("failure_threshold", -5, "an integer >= 1"),
        ("success_threshold", 0, "an integer >= 1"),
        ("max_probes", 0, "an integer >= 1"),
        *(
            ("reset_timeout_seconds", value, "a finite number of seconds >= 0")
            for value in (-1, -0.001, NAN, INFINITY, -INFINITY)
        ),
        *(("probe_timeout_seconds", value, "a finite number of seconds > 0") for value in (0, -1, NAN, INFINITY)),
        *(("overdue_after_seconds", value, "a number of seconds >= 0, or math.inf") for value in (-1, NAN)),
    ],
)
def test_a_value_out_of_its_range_is_refused_with_argument_value_and_range(
    argument: str, value: object, wanted: str
) -> None:
    with pytest.raises(ValueError, match=rf"^{argument} must be {wanted}, not {value!r}$"):
        CircuitBreaker("payments", **{argument: value})


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("failure_threshold", "5"),
        ("failure_threshold", 5.0),
        ("failure_threshold", True),
        ("success_threshold", None),
        ("success_threshold", 1.5),
        ("max_probes", "1"),
        ("max_probes", False),
        ("reset_timeout_seconds", "60"),
        ("reset_timeout_seconds", None),
        ("reset_timeout_seconds", True),
        ("reset_timeout_seconds", 1j),
        ("probe_timeout_seconds", "60"),
        ("overdue_after_seconds", "60"),
        ("expected_exception", None),
        ("expected_exception", ValueError()),
        ("expected_exception", int),
        ("expected_exception", "ValueError"),
        ("expected_exception", (ValueError, "KeyError")),
        ("expected_exception", [ValueError]),
        ("ignored_exception", None),
        ("ignored_exception", (ValueError, int)),
        ("failed_result", 500),
        ("expected_exception", answer),
        ("ignored_exception", answer),
        ("failed_result", answer),
        ("trip_when", 5),
        ("trip_when", FailureRate),
        ("shadow", 1),
        ("shadow", None),
        ("clock", 0.0),
        ("random", random),
        ("random", 0.5),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_by_name(argument: str, value: object) -> None:
    with pytest.raises(TypeError, match=argument):
        CircuitBreaker("payments", **{argument: value})


def test_an_unknown_argument_is_refused() -> None:
    with pytest.raises(TypeError, match="retries"):
        CircuitBreaker("payments", retries=3)


def test_a_rule_and_a_threshold_exclude_each_other() -> None:
    with pytest.raises(ValueError, match=r"trip_when.*failure_threshold.*exclude each other"):
        CircuitBreaker("payments", trip_when=ConsecutiveFailures(3), failure_threshold=3)


@pytest.mark.parametrize("reading", [NAN, INFINITY, -INFINITY])
def test_a_clock_that_cannot_be_called_is_refused(reading: float) -> None:
    with pytest.raises(ValueError, match="the clock must return a finite number of seconds"):
        CircuitBreaker("payments", clock=lambda: reading)


def test_a_clock_that_returns_no_number_is_refused() -> None:
    with pytest.raises(TypeError):
        CircuitBreaker("payments", clock=lambda: "now")


@pytest.mark.parametrize("seconds", [30, 30.0, Fraction(30)], ids=repr)
def test_any_real_number_of_seconds_is_accepted(seconds: float) -> None:
    assert CircuitBreaker("payments", reset_timeout_seconds=seconds).reset_timeout_seconds == 30


def test_a_decimal_is_no_number_of_seconds() -> None:
    with pytest.raises(TypeError, match="reset_timeout_seconds"):
        CircuitBreaker("payments", reset_timeout_seconds=Decimal(30))


def test_a_refused_breaker_does_not_use_its_other_arguments() -> None:
    rule = ConsecutiveFailures(3)
    with pytest.raises(ValueError, match="max_probes"):
        CircuitBreaker("payments", trip_when=rule, max_probes=0)
    assert CircuitBreaker("payments", trip_when=rule).failure_threshold == 3


@pytest.mark.anyio
async def test_a_rule_shared_by_two_breakers_counts_for_each_separately(clock: ManualClock) -> None:
    rule = ConsecutiveFailures(2)
    one, other = (CircuitBreaker(trip_when=rule, clock=clock) for _ in range(2))
    await fail_once(one)
    await fail_once(other)
    assert (one.failure_count, other.failure_count, one.state) == (1, 1, CircuitState.CLOSED)


@pytest.mark.anyio
async def test_a_reset_timeout_of_0_makes_the_next_call_a_probe(clock: ManualClock) -> None:
    breaker = CircuitBreaker(failure_threshold=1, reset_timeout_seconds=0, clock=clock)
    await fail_once(breaker)
    permit = await breaker.acquire()
    assert permit.is_probe
    permit.ignore()


@pytest.mark.anyio
async def test_the_jitter_comes_from_the_random_that_was_given(clock: ManualClock) -> None:
    backoff = ExponentialBackoff(initial_seconds=10, jitter=0.5)
    breakers = [
        CircuitBreaker(failure_threshold=1, reset_timeout_seconds=backoff, clock=clock, random=Random(7))
        for _ in range(2)
    ]
    for breaker in breakers:
        await fail_once(breaker)
    assert breakers[0].retry_after == breakers[1].retry_after == pytest.approx(backoff.open_seconds(1, Random(7)))


class Broken(Random):
    """A source of randomness that raises."""

    def uniform(self, a: float, b: float) -> float:
        raise OSError(a, b)


@pytest.mark.anyio
async def test_a_breaker_opens_although_its_random_raises(clock: ManualClock) -> None:
    breaker = CircuitBreaker(
        failure_threshold=1,
        reset_timeout_seconds=ExponentialBackoff(initial_seconds=10),
        clock=clock,
        random=Broken(),
    )
    await fail_once(breaker)
    assert (breaker.state, breaker.retry_after) == (CircuitState.OPEN, 10)
    assert await breaker.try_acquire() is None
