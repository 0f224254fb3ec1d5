"""`rejection_of(exc)`: the rejection behind an exception that something else raised."""

from collections.abc import Callable
from itertools import pairwise
from types import SimpleNamespace

import anyio
import anyio.lowlevel
import pytest

from recloser import CircuitBreaker, CircuitBreakerOpenError, rejection_of
from recloser.errors import BulkheadFullError
from tests.breaker.kit import DependencyError

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


class StatusError(Exception):
    """Named and shaped as the errors of HTTP clients."""

    def __init__(self, response: object) -> None:
        super().__init__("503")
        self.response = response


class HostileError(Exception):
    """Raises when it is looked at."""

    @property
    def response(self) -> object:
        raise RuntimeError("do not look")


def answered(rejection: object) -> SimpleNamespace:
    """Returns a response that stands in for a rejection."""
    return SimpleNamespace(extensions={"rejection": rejection})


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
        ConnectionError("no connection", OPEN),
        ConnectionError(KeyError(OPEN)),
        StatusError(answered(OPEN)),
        caused(KeyError(), StatusError(answered(OPEN))),
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
        StatusError(None),
        StatusError(answered("busy")),
        StatusError(SimpleNamespace(extensions=["rejection"])),
        HostileError(),
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


class ClientError(Exception):
    """Raised by a client, always from whatever ended its request."""


BEHIND = {
    "a cause": lambda: caused(ClientError(), OPEN),
    "an argument": lambda: ClientError(OPEN),
    "a response": lambda: StatusError(answered(OPEN)),
    "the last attempt": lambda: RetryError(Attempt(OPEN)),
    "a group": lambda: ExceptionGroup("several", [caused(ClientError(), OPEN)]),
}


async def raise_made(make: Callable[[], BaseException]) -> None:
    await anyio.lowlevel.checkpoint()
    raise make()


@pytest.mark.anyio
@pytest.mark.parametrize("behind", BEHIND)
async def test_a_breaker_ignores_what_was_raised_from_a_rejection(behind: str) -> None:
    breaker = CircuitBreaker("payments", failure_threshold=99)
    types = (ClientError, StatusError, RetryError)
    failures = [
        lambda: caused(ClientError(), OSError()),
        lambda: StatusError(None),
        lambda: RetryError(Attempt(OSError())),
    ]
    for number in range(3):  # what is known of a type by then makes no difference
        for fail in failures:
            with pytest.raises(types):
                await breaker.call(raise_made, fail)
        with pytest.raises((*types, ExceptionGroup)):
            await breaker.call(raise_made, BEHIND[behind])
        health = breaker.health()
        assert (health["failure_total"], health["ignored_total"]) == (3 * number + 3, number + 1)


@pytest.mark.anyio
async def test_a_decorated_function_ignores_what_was_raised_from_a_rejection() -> None:
    breaker = CircuitBreaker("payments", failure_threshold=99)
    decorated = breaker(raise_made)
    for fail in (DependencyError, BEHIND["a cause"], DependencyError, BEHIND["a cause"]):
        with pytest.raises((ClientError, DependencyError)):
            await decorated(fail)
    assert (breaker.health()["failure_total"], breaker.health()["ignored_total"]) == (2, 2)


@pytest.mark.anyio
async def test_a_predicate_is_not_asked_about_what_was_raised_from_a_rejection() -> None:
    breaker = CircuitBreaker("payments", expected_exception=lambda _: pytest.fail("asked"))
    with pytest.raises(ClientError):
        await breaker.call(raise_made, BEHIND["a cause"])
    assert breaker.health()["ignored_total"] == 1
