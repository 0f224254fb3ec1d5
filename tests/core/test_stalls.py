"""Stalls of an event loop."""

import pytest

from recloser._core.stalls import AFTERMATH_SECONDS, STALLS_REMEMBERED, Stalls


def test_a_loop_that_never_stood_still_has_no_stalls() -> None:
    stalls = Stalls()
    assert (stalls.count, stalls.seconds, stalls.longest) == (0, 0.0, 0.0)
    assert (stalls.ended_at, stalls.last_seconds) == (None, 0.0)
    assert not stalls.is_recent(5.0)
    assert stalls.within(0.0, 100.0) == 0.0


def test_stalls_are_counted_and_added_up() -> None:
    stalls = Stalls()
    stalls.add(1.0, 3.0)
    stalls.add(4.0, 4.5)
    assert (stalls.count, stalls.seconds, stalls.longest) == (2, 2.5, 2.0)
    assert (stalls.ended_at, stalls.last_seconds) == (4.5, 0.5)


@pytest.mark.parametrize(
    ("since", "until", "seconds"),
    [
        (0.0, 10.0, 3.0),
        (2.0, 10.0, 2.0),
        (1.0, 2.0, 1.0),
        (1.5, 2.5, 1.0),
        (3.0, 4.0, 0.0),
        (4.25, 4.75, 0.5),
        (6.0, 7.0, 0.0),
        (0.0, 0.5, 0.0),
    ],
)
def test_of_a_time_only_the_part_in_which_the_loop_stood_still_is_taken_out(
    since: float, until: float, seconds: float
) -> None:
    stalls = Stalls()
    stalls.add(1.0, 3.0)
    stalls.add(4.0, 5.0)
    assert stalls.within(since, until) == seconds


def test_a_stall_is_recent_for_a_moment() -> None:
    stalls = Stalls()
    stalls.add(1.0, 3.0)
    assert stalls.is_recent(3.0)
    assert stalls.is_recent(3.0 + AFTERMATH_SECONDS * 0.9)
    assert not stalls.is_recent(3.0 + AFTERMATH_SECONDS * 1.1)


def test_old_stalls_are_forgotten_but_stay_in_the_totals() -> None:
    stalls = Stalls()
    for number in range(STALLS_REMEMBERED + 1):
        stalls.add(number, number + 0.5)
    assert stalls.within(0.0, 1.0) == 0.0
    assert stalls.within(1.0, 2.0) == 0.5
    assert stalls.count == STALLS_REMEMBERED + 1
