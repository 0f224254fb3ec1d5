"""A user's clock that many breakers share, and that fails now and then."""

import logging

import pytest

from recloser._breaker.clock import CheckedClock


def test_a_clock_that_recovers_for_a_new_breaker_is_logged_again_when_it_fails(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.ERROR, "recloser")
    readings = iter([1.0, float("nan"), 2.0, float("nan")])
    clock = CheckedClock(lambda: next(readings))
    assert clock.first() == 1.0
    assert clock.read("payments") == 1.0
    assert clock.first() == 2.0
    assert clock.read("search") == 2.0
    assert [record.args for record in caplog.records] == [("payments",), ("search",)]
