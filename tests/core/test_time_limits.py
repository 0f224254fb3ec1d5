"""Which exceptions say that a time limit has run out."""

import httpx
import psycopg_pool
import pytest
import redis
import sqlalchemy.exc

from recloser import CallTimeoutError
from recloser._core.time_limits import is_about_time


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
        ExceptionGroup("all", [TimeoutError(), ValueError()]),
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
