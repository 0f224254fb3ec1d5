"""The token bucket, against a naive one that adds up fractions."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recloser._policies.bucket import TokenBucket
from recloser.testing import ManualClock

QUARTERS = st.integers(0, 40).map(lambda quarters: quarters / 4)
STEPS = st.lists(st.tuples(QUARTERS, st.sampled_from(["take", "add"])), max_size=60)


class NaiveBucket:
    """The same by the book, without rounding."""

    def __init__(self, capacity: int, per_second: float) -> None:
        self.tokens = self.capacity = Fraction(capacity)
        self.per_second = Fraction(per_second)

    def after(self, seconds: float, tokens: float = 0) -> None:
        self.tokens = min(self.capacity, self.tokens + Fraction(seconds) * self.per_second)
        self.tokens = min(self.capacity, self.tokens + Fraction(tokens))

    def take(self) -> bool:
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


@given(st.integers(1, 5), st.sampled_from([0.25, 0.5, 1.0, 2.0]), STEPS)
def test_it_gives_the_tokens_that_a_naive_bucket_gives(capacity: int, per_second: float, steps: list) -> None:
    clock = ManualClock()
    bucket, naive = TokenBucket(capacity, per_second, clock), NaiveBucket(capacity, per_second)
    for seconds, step in steps:
        clock.advance(seconds)
        naive.after(seconds)
        assert bucket.wait_seconds() == max(0, (1 - naive.tokens) / naive.per_second)
        if step == "add":
            bucket.add(0.25)
            naive.after(0, 0.25)
        else:
            assert bucket.take() is naive.take()


@given(st.integers(1, 5), st.floats(0.1, 100), st.lists(st.floats(0, 3), max_size=60))
def test_over_any_time_no_more_tokens_are_taken_than_flow_in(capacity: int, rate: float, waits: list[float]) -> None:
    clock = ManualClock()
    bucket = TokenBucket(capacity, rate, clock)
    taken = []
    for wait in waits:
        clock.advance(wait)
        while bucket.take():
            taken.append(clock())
    for first, start in enumerate(taken):
        for last in range(first, len(taken)):
            assert last - first + 1 <= capacity + rate * (taken[last] - start) + 1e-5


@given(st.floats(0.001, 1000), st.floats(0, 1e6))
def test_whoever_waits_as_long_as_it_says_gets_a_token(rate: float, start: float) -> None:
    clock = ManualClock(start)
    bucket = TokenBucket(1, rate, clock)
    assert bucket.take()
    clock.advance(bucket.wait_seconds())
    clock.advance(bucket.wait_seconds())  # what rounding left
    assert bucket.take()


def test_a_clock_that_jumps_back_lets_no_time_pass_and_blocks_nobody() -> None:
    clock = ManualClock(1000)
    bucket = TokenBucket(1, 1, clock)
    assert bucket.take()
    clock.set(0)
    assert not bucket.take()
    clock.advance(1)
    assert bucket.take()


def test_a_clock_that_jumps_forward_fills_it_once() -> None:
    clock = ManualClock()
    bucket = TokenBucket(2, 1, clock)
    clock.advance(1e9)
    assert [bucket.take() for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize("reading", [math.nan, None, ZeroDivisionError()])
def test_a_clock_that_fails_stands_still(reading: object) -> None:
    readings: list[object] = [0.0, reading, reading, 1.0]

    def clock() -> float:
        now = readings.pop(0)
        if isinstance(now, Exception):
            raise now
        return now

    bucket = TokenBucket(1, 1, clock)
    assert [bucket.take() for _ in range(3)] == [True, False, True]


@pytest.mark.parametrize(
    ("clock", "error", "message"),
    [
        (0.0, TypeError, "clock must be a function that returns monotonic seconds"),
        (lambda: "now", TypeError, "clock must return a finite number of seconds, not 'now'"),
        (lambda: True, TypeError, "clock must return"),
        (lambda: math.nan, ValueError, "clock must return a finite number of seconds, not nan"),
    ],
)
def test_what_is_no_clock_is_refused(clock: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        TokenBucket(1, 1, clock)
