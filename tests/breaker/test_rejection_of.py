"""`rejection_of(exc)`: the rejection behind an exception that something else raised."""

from itertools import pairwise

import pytest

from recloser import CircuitBreakerOpenError, rejection_of
from recloser.errors import BulkheadFullError

OPEN = CircuitBreakerOpenError("payments", 41.3)


def caused(*chain: BaseException) -> BaseException:
    """Returns the first exception, with the others as its chain of causes."""
    for effect, cause in pairwise(chain):
        effect.__cause__ = cause
    return chain[0]


class Attempt:
    """The last attempt of tenacity, as far as its error shows it."""

    def __init__(self, error: BaseException | None) -> None:
        self.failed = error is not None
        self.error = error

    def exception(self) -> BaseException | None:
        return self.error


class RetryError(Exception):
    """Named and shaped as tenacity's."""

    def __init__(self, attempt: object) -> None:
        super().__init__(attempt)
        self.last_attempt = attempt


def circular() -> BaseException:
    one, two = KeyError(), ValueError()
    one.__cause__, two.__cause__ = two, one
    return one


@pytest.mark.parametrize(
    "exc",
    [
        OPEN,
        caused(ConnectionError(), OPEN),
        caused(ConnectionError(), ValueError(), OPEN),
        ExceptionGroup("several", [OSError(), ExceptionGroup("inner", [KeyError(), OPEN])]),
        caused(ConnectionError(), ExceptionGroup("several", [OSError(), caused(KeyError(), OPEN)])),
        RetryError(Attempt(OPEN)),
        caused(ConnectionError(), RetryError(Attempt(caused(OSError(), OPEN)))),
    ],
)
def test_the_rejection_behind_an_exception_is_found(exc: BaseException) -> None:
    assert rejection_of(exc) is OPEN


@pytest.mark.parametrize(
    "exc",
    [
        OSError(),
        circular(),
        ExceptionGroup("several", [OSError(), KeyError()]),
        RetryError(Attempt(None)),
        RetryError(Attempt(OSError())),
        RetryError("attempt"),
    ],
)
def test_without_a_rejection_there_is_none(exc: BaseException) -> None:
    assert rejection_of(exc) is None


def test_what_is_no_exception_is_refused() -> None:
    with pytest.raises(TypeError, match="exc must be an exception, not 5"):
        rejection_of(5)


def test_the_first_of_several_rejections_is_returned() -> None:
    full = BulkheadFullError("reports")
    assert rejection_of(ExceptionGroup("several", [full, OPEN])) is full


def test_an_exception_raised_while_a_rejection_was_handled_is_not_that_rejection() -> None:
    error = KeyError()
    error.__context__ = OPEN
    assert rejection_of(error) is None


@pytest.mark.parametrize("rejected", [True, False])
def test_the_error_of_tenacity_is_understood(*, rejected: bool) -> None:
    tenacity = pytest.importorskip("tenacity")

    @tenacity.retry(stop=tenacity.stop_after_attempt(2))
    def call() -> None:
        raise OPEN if rejected else OSError

    with pytest.raises(tenacity.RetryError) as caught:
        call()
    assert rejection_of(caught.value) is (OPEN if rejected else None)
