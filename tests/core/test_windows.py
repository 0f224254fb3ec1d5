from typing import Any

import pytest

from recloser._core.windows import CountRing, CountWindow, TimeRing, TimeWindow

INF = float("inf")
NAN = float("nan")


def test_a_count_window_holds_a_hundred_calls_by_default() -> None:
    assert CountWindow().size == 100


def test_a_time_window_holds_a_minute_in_ten_buckets_by_default() -> None:
    assert (TimeWindow().seconds, TimeWindow().buckets) == (60.0, 10)


def test_windows_are_values() -> None:
    assert CountWindow(5) == CountWindow(5)
    assert TimeWindow(5) == TimeWindow(5.0, 10)
    assert len({CountWindow(5), CountWindow(5), TimeWindow(5), TimeWindow(5)}) == 2


def test_windows_say_which_calls_they_hold() -> None:
    assert str(CountWindow(20)) == "the last 20 calls"
    assert str(TimeWindow(2.5)) == "the last 2.5 s"


def test_each_window_makes_rings_of_its_kind() -> None:
    assert isinstance(CountWindow(5).ring(0), CountRing)
    assert isinstance(TimeWindow(5).ring(0), TimeRing)
    assert CountWindow(5).ring(0) is not CountWindow(5).ring(0)


@pytest.mark.parametrize(
    ("size", "error"),
    [(0, ValueError), (-1, ValueError), (10**15, ValueError), (2.0, TypeError), (True, TypeError), (None, TypeError)],
)
def test_a_count_window_refuses_what_is_no_count(size: Any, error: type[Exception]) -> None:  # noqa: ANN401
    with pytest.raises(error, match=f"^size must be an integer from 1 to 1000000, not {size!r}$"):
        CountWindow(size)


@pytest.mark.parametrize(
    ("seconds", "error"),
    [(0, ValueError), (-1, ValueError), (NAN, ValueError), (INF, ValueError), (True, TypeError), ("60", TypeError)],
)
def test_a_time_window_refuses_what_is_no_duration(seconds: Any, error: type[Exception]) -> None:  # noqa: ANN401
    with pytest.raises(error, match=f"^seconds must be a finite number of seconds > 0, not {seconds!r}$"):
        TimeWindow(seconds)


@pytest.mark.parametrize(
    ("buckets", "error"),
    [(0, ValueError), (-1, ValueError), (10**15, ValueError), (1.0, TypeError), (False, TypeError)],
)
def test_a_time_window_refuses_what_is_no_number_of_buckets(buckets: Any, error: type[Exception]) -> None:  # noqa: ANN401
    with pytest.raises(error, match=f"^buckets must be an integer from 1 to 1000000, not {buckets!r}$"):
        TimeWindow(60, buckets)


def test_a_time_window_refuses_buckets_that_are_too_short() -> None:
    TimeWindow(1e-5, 10)
    with pytest.raises(ValueError, match=r"^seconds / buckets must be >= 1e-06, not 1e-05 / 11$"):
        TimeWindow(1e-5, 11)
