"""Which part of an exception is a rejection, and when it is worth to try again."""

import math

import pytest

from recloser import CircuitBreakerOpenError, NoAnswer, RejectedError
from recloser.errors import BulkheadFullError, FallbackExhaustedError, RateLimitedError
from recloser.integrations._rejections import is_all, rejection_in, retry_after

OPEN = CircuitBreakerOpenError("a", 30.0)
LIMITED = RateLimitedError("b", 9.5)
FULL = BulkheadFullError("c")
MISS = NoAnswer("not in the cache")


def exhausted(*errors: Exception) -> FallbackExhaustedError:
    return FallbackExhaustedError("all failed", list(errors), "users", [str(number) for number in range(len(errors))])


@pytest.mark.parametrize("rejection", [OPEN, LIMITED, FULL, RejectedError("d")])
def test_a_rejection_is_found_to_be_itself(rejection: RejectedError) -> None:
    assert rejection_in(rejection) is rejection


@pytest.mark.parametrize(
    "group",
    [
        ExceptionGroup("one", [OPEN]),
        ExceptionGroup("nested", [OPEN, ExceptionGroup("deep", [FULL, LIMITED])]),
        exhausted(OPEN, MISS),
        ExceptionGroup("nested", [exhausted(OPEN, MISS), LIMITED]),
    ],
)
def test_a_group_of_rejections_is_found_whole(group: ExceptionGroup[Exception]) -> None:
    found = rejection_in(group)
    assert repr(found) == repr(group)


class ClientError(Exception):
    """Raised by a client from whatever ended its request."""


def wrapped(rejection: RejectedError) -> ClientError:
    error = ClientError("connection error")
    error.__cause__ = rejection
    return error


def test_what_was_raised_from_a_rejection_is_the_rejection() -> None:
    assert rejection_in(wrapped(LIMITED)) is LIMITED


def test_in_a_group_what_was_raised_from_a_rejection_counts_as_one() -> None:
    group = ExceptionGroup("nested", [wrapped(OPEN), ExceptionGroup("deep", [LIMITED, MISS])])
    found = rejection_in(group)
    assert repr(found) == repr(group)
    assert retry_after(found) == 30
    assert not is_all(RateLimitedError, found)
    assert is_all(RateLimitedError, rejection_in(ExceptionGroup("one", [wrapped(LIMITED)])))


@pytest.mark.parametrize("error", [OSError("down"), MISS, ExceptionGroup("none", [OSError()]), exhausted(MISS)])
def test_what_holds_no_rejection_is_raised_as_it_is(error: Exception) -> None:
    with pytest.raises(type(error)) as caught:
        rejection_in(error)
    assert caught.value is error


def test_of_a_mixed_group_the_rest_is_raised() -> None:
    error = OSError("down")
    with pytest.raises(ExceptionGroup) as caught:
        rejection_in(ExceptionGroup("mixed", [OPEN, ExceptionGroup("deep", [error, FULL])]))
    assert repr(caught.value) == repr(ExceptionGroup("mixed", [ExceptionGroup("deep", [error])]))


@pytest.mark.parametrize(
    ("rejection", "seconds"),
    [
        (OPEN, 30),
        (LIMITED, 10),
        (FULL, None),
        (RejectedError("now", 0.0), 1),
        (RejectedError("soon", 0.2), 1),
        (RejectedError("never", math.inf), None),
        (RejectedError("unclear", math.nan), None),
        (ExceptionGroup("all are needed", [OPEN, LIMITED, FULL]), 30),
        (ExceptionGroup("none is known", [FULL]), None),
        (exhausted(OPEN, LIMITED, MISS, FULL), 10),
        (ExceptionGroup("both", [exhausted(OPEN, LIMITED), RejectedError("d", 12.0)]), 12),
    ],
)
def test_the_time_to_come_back_is_whole_seconds_at_least_one(rejection: Exception, seconds: int | None) -> None:
    assert retry_after(rejection) == seconds


def test_a_group_is_of_one_kind_if_all_its_rejections_are() -> None:
    assert is_all(RateLimitedError, exhausted(LIMITED, MISS))
    assert not is_all(RateLimitedError, ExceptionGroup("mixed", [LIMITED, OPEN]))
