"""A user's clock that fails now and then."""

import logging

import pytest

from recloser._breaker.clock import CheckedClock


def test_a_clock_that_recovers_is_logged_again_when_it_fails(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, "recloser")
    nan = float("nan")
    readings = iter([1.0, nan, nan, 2.0, nan])
    clock = CheckedClock(lambda: next(readings), "payments")
    assert [clock() for _ in range(4)] == [1.0, 1.0, 2.0, 2.0]
    assert [record.args for record in caplog.records] == [("payments",), ("payments",)]


def test_a_clock_that_fails_at_once_is_refused() -> None:
    with pytest.raises(ValueError, match="must return a finite number of seconds, not inf"):
        CheckedClock(lambda: float("inf"), "payments")
