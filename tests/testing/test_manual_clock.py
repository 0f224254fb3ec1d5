"""The clock that a test moves by hand."""

import math

import pytest

from recloser.testing import ManualClock

NO_NUMBERS = [math.nan, math.inf, -math.inf]


def test_a_manual_clock_starts_at_zero() -> None:
    assert ManualClock()() == 0.0


def test_a_manual_clock_starts_where_it_is_told() -> None:
    assert ManualClock(start=-5)() == -5.0


def test_a_manual_clock_stands_still() -> None:
    clock = ManualClock(3.5)
    assert [clock(), clock()] == [3.5, 3.5]


def test_advancing_adds_up() -> None:
    clock = ManualClock(1.0)
    clock.advance(2)
    clock.advance(0)
    clock.advance(0.5)
    assert clock() == 3.5


def test_a_clock_can_be_set_back() -> None:
    clock = ManualClock(100)
    clock.set(40)
    assert clock() == 40.0


def test_the_time_is_a_float_whatever_it_was_made_of() -> None:
    clock = ManualClock(1)
    assert isinstance(clock(), float)
    clock.set(2)
    assert isinstance(clock(), float)


@pytest.mark.parametrize("value", NO_NUMBERS)
def test_what_is_no_instant_is_refused_at_the_start(value: float) -> None:
    with pytest.raises(ValueError, match=f"start must be a finite number of seconds, not {value}"):
        ManualClock(value)


@pytest.mark.parametrize("value", NO_NUMBERS)
def test_what_is_no_instant_cannot_be_set_and_moves_nothing(value: float) -> None:
    clock = ManualClock(7)
    with pytest.raises(ValueError, match=f"seconds must be a finite number of seconds, not {value}"):
        clock.set(value)
    assert clock() == 7.0


@pytest.mark.parametrize("value", ["x", None, True], ids=repr)
def test_what_is_no_number_is_refused_by_the_name_of_the_argument(value: object) -> None:
    clock = ManualClock(7)
    with pytest.raises(TypeError, match=f"start must be a finite number of seconds, not {value!r}"):
        ManualClock(value)
    for move in (clock.advance, clock.set):
        with pytest.raises(TypeError, match=f"seconds must be a finite number of seconds, not {value!r}"):
            move(value)
    assert clock() == 7.0


def test_a_number_that_no_float_can_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="start must be a finite number of seconds, not 1000"):
        ManualClock(10**400)


@pytest.mark.parametrize("value", [*NO_NUMBERS, -0.001])
def test_a_clock_advances_by_finite_steps_forward_only(value: float) -> None:
    clock = ManualClock(7)
    with pytest.raises(ValueError, match="seconds must be"):
        clock.advance(value)
    assert clock() == 7.0


def test_the_repr_shows_the_time() -> None:
    assert repr(ManualClock(1.5)) == "ManualClock(1.5)"
