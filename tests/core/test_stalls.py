"""Stalls of an event loop, and the exceptions that are about time."""

import httpx
import psycopg_pool
import pytest
import redis
import sqlalchemy.exc

from recloser import CallTimeoutError
from recloser._core.stalls import AFTERMATH_SECONDS, STALLS_REMEMBERED, Stalls, is_about_time


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


@pytest.mark.parametrize(
    "error",
    [
        TimeoutError(),
        CallTimeoutError("t", 1.0),
        httpx.ReadTimeout("slow"),
        httpx.PoolTimeout("slow"),
        redis.TimeoutError(),
        psycopg_pool.PoolTimeout(),
        sqlalchemy.exc.TimeoutError(),
        ExceptionGroup("all", [ValueError(), TimeoutError()]),
    ],
    ids=lambda error: f"{type(error).__module__}.{type(error).__qualname__}",
)
def test_time_limits_of_clients_and_policies_are_about_time(error: BaseException) -> None:
    assert is_about_time(error)


@pytest.mark.parametrize(
    "error", [ConnectionResetError(), httpx.ConnectError("refused"), ValueError("timeout")], ids=str
)
def test_other_errors_are_not_about_time(error: BaseException) -> None:
    assert not is_about_time(error)


def test_an_error_that_was_raised_from_a_time_limit_is_about_time() -> None:
    error = RuntimeError("failed")
    error.__cause__ = OSError("failed")
    error.__cause__.__cause__ = TimeoutError()
    assert is_about_time(error)


def test_causes_that_go_in_circles_are_followed_for_a_while_only() -> None:
    error, other = RuntimeError("one"), RuntimeError("two")
    error.__cause__, other.__cause__ = other, error
    assert not is_about_time(error)
