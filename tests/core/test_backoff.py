from fractions import Fraction
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recloser._core.backoff import ExponentialBackoff
from recloser._core.defaults import ConstantBackoff

INF = float("inf")
NAN = float("nan")


@given(attempt=st.integers(1, 10**9))
@settings(deadline=None)
def test_a_constant_backoff_is_the_same_at_every_attempt(attempt: int) -> None:
    assert ConstantBackoff(2.5).open_seconds(attempt, Random(0)) == 2.5


def test_a_constant_backoff_may_be_zero() -> None:
    assert ConstantBackoff(0).open_seconds(1, Random(0)) == 0.0


def test_an_exponential_backoff_grows_from_the_initial_time_up_to_the_maximum() -> None:
    backoff = ExponentialBackoff(initial_seconds=1, multiplier=3, maximum_seconds=30, jitter=0)
    assert [backoff.open_seconds(attempt, Random(0)) for attempt in range(1, 7)] == [1, 3, 9, 27, 30, 30]


def test_a_multiplier_of_one_does_not_grow() -> None:
    backoff = ExponentialBackoff(initial_seconds=5, multiplier=1, jitter=0)
    assert {backoff.open_seconds(attempt, Random(0)) for attempt in (1, 2, 10**6)} == {5.0}


@pytest.mark.parametrize("multiplier", [1.0001, 2, 1e308])
def test_attempt_one_million_does_not_overflow(multiplier: float) -> None:
    backoff = ExponentialBackoff(initial_seconds=1e-3, multiplier=multiplier, maximum_seconds=300, jitter=0)
    assert backoff.open_seconds(10**6, Random(0)) == 300


@given(
    initial=st.floats(1e-6, 1e3),
    multiplier=st.floats(1, 100),
    factor=st.floats(1, 1e6),
    jitter=st.floats(0, 1),
    attempt=st.integers(1, 10**6),
    seed=st.integers(0, 2**32),
)
@settings(deadline=None)
def test_jitter_spreads_to_both_sides_and_never_above_the_maximum(  # noqa: PLR0917 - Hypothesis fills them in
    initial: float, multiplier: float, factor: float, jitter: float, attempt: int, seed: int
) -> None:
    maximum = initial * factor
    plain = ExponentialBackoff(initial_seconds=initial, multiplier=multiplier, maximum_seconds=maximum, jitter=0)
    spread = ExponentialBackoff(initial_seconds=initial, multiplier=multiplier, maximum_seconds=maximum, jitter=jitter)
    middle = plain.open_seconds(attempt, Random(seed))
    seconds = spread.open_seconds(attempt, Random(seed))
    assert initial <= middle <= maximum
    assert middle * (1 - jitter) * (1 - 1e-12) <= seconds <= min(middle * (1 + jitter) * (1 + 1e-12), maximum)


def test_jitter_comes_from_the_given_random_and_reaches_both_sides() -> None:
    backoff = ExponentialBackoff(initial_seconds=10, maximum_seconds=1000, jitter=0.1)
    random = Random(7)
    drawn = [backoff.open_seconds(1, random) for _ in range(1000)]
    again = Random(7)
    assert drawn == [backoff.open_seconds(1, again) for _ in range(1000)]
    assert 9.0 <= min(drawn) < 9.1
    assert 10.9 < max(drawn) <= 11.0


class BrokenRandom(Random):
    """Fails, or draws what lies outside of the range it was asked for."""

    def __init__(self, drawn: float | None) -> None:
        super().__init__(0)
        self.drawn = drawn

    def uniform(self, a: float, b: float) -> float:
        if self.drawn is None:
            raise OSError(a, b)
        return self.drawn


@pytest.mark.parametrize("drawn", [None, 0.5, 1.5, -1.0, NAN, INF])
def test_without_usable_random_numbers_there_is_no_jitter(drawn: float | None) -> None:
    backoff = ExponentialBackoff(initial_seconds=10, jitter=0.25)
    assert backoff.open_seconds(2, BrokenRandom(drawn)) == 20.0


@pytest.mark.parametrize("drawn", [0.75, 1.25])
def test_the_ends_of_the_jitter_can_be_drawn(drawn: float) -> None:
    backoff = ExponentialBackoff(initial_seconds=10, jitter=0.25)
    assert backoff.open_seconds(1, BrokenRandom(drawn)) == 10 * drawn


def test_without_jitter_no_random_number_is_drawn() -> None:
    random = Random(7)
    ExponentialBackoff(jitter=0).open_seconds(1, random)
    ConstantBackoff(1).open_seconds(1, random)
    assert random.random() == Random(7).random()


@given(attempts=st.integers(2, 50))
@settings(deadline=None)
def test_reset_timeouts_never_shrink_from_one_attempt_to_the_next(attempts: int) -> None:
    backoff = ExponentialBackoff(initial_seconds=0.1, multiplier=1.7, maximum_seconds=1e5, jitter=0)
    seconds = [backoff.open_seconds(attempt, Random(0)) for attempt in range(1, attempts + 1)]
    assert all(earlier <= later for earlier, later in pairwise(seconds))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"initial_seconds": 0}, ValueError, "initial_seconds must be a finite number of seconds > 0, not 0"),
        ({"initial_seconds": -1}, ValueError, "initial_seconds must be .* > 0, not -1"),
        ({"initial_seconds": NAN}, ValueError, "initial_seconds must be .* > 0, not nan"),
        ({"initial_seconds": INF}, ValueError, "initial_seconds must be .* > 0, not inf"),
        ({"initial_seconds": "1"}, TypeError, "initial_seconds must be .* > 0, not '1'"),
        ({"multiplier": 0.5}, ValueError, "multiplier must be a finite number >= 1, not 0.5"),
        ({"multiplier": INF}, ValueError, "multiplier must be .* >= 1, not inf"),
        ({"multiplier": True}, TypeError, "multiplier must be .* >= 1, not True"),
        ({"maximum_seconds": 0.5}, ValueError, r"maximum_seconds must be >= initial_seconds \(1\), not 0.5"),
        ({"maximum_seconds": INF}, ValueError, "maximum_seconds must be .* > 0, not inf"),
        ({"jitter": -0.1}, ValueError, "jitter must be a fraction with 0 <= fraction <= 1, not -0.1"),
        ({"jitter": 1.1}, ValueError, "jitter must be .*, not 1.1"),
        ({"jitter": NAN}, ValueError, "jitter must be .*, not nan"),
        ({"jitter": None}, TypeError, "jitter must be .*, not None"),
    ],
)
def test_an_exponential_backoff_refuses_figures_outside_their_ranges(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^{message}$"):
        ExponentialBackoff(**options)


@pytest.mark.parametrize(
    ("seconds", "error"), [(-1, ValueError), (NAN, ValueError), (INF, ValueError), ("1", TypeError), (True, TypeError)]
)
def test_a_constant_backoff_refuses_what_is_no_duration(seconds: Any, error: type[Exception]) -> None:  # noqa: ANN401
    with pytest.raises(error, match=f"^seconds must be a finite number of seconds >= 0, not {seconds!r}$"):
        ConstantBackoff(seconds)


def test_backoffs_keep_floats_whatever_kind_of_number_they_are_given() -> None:
    assert isinstance(ConstantBackoff(Fraction(1, 2)).seconds, float)  # type: ignore[arg-type]
    backoff = ExponentialBackoff(initial_seconds=1, multiplier=2, maximum_seconds=4, jitter=0)
    figures = (backoff.initial_seconds, backoff.multiplier, backoff.maximum_seconds, backoff.jitter)
    assert all(isinstance(figure, float) for figure in figures)


def test_backoffs_say_their_figures() -> None:
    assert str(ConstantBackoff(60)) == "60 s"
    backoff = ExponentialBackoff(initial_seconds=0.5, multiplier=3, maximum_seconds=90)
    assert str(backoff) == "0.5 s, x 3 per attempt up to 90 s"


def test_backoffs_are_values() -> None:
    assert ConstantBackoff(1) == ConstantBackoff(1.0)
    assert hash(ExponentialBackoff()) == hash(ExponentialBackoff())
