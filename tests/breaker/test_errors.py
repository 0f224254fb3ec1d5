"""The exceptions: their messages, their fields, and that they can be pickled and copied."""

import copy
import json
import pickle

import pytest

from recloser import CallTimeoutError, CircuitBreakerOpenError, CircuitState, RecloserError, RejectedError
from recloser.errors import BulkheadFullError, RateLimitedError
from recloser.events import CallRejected
from recloser.testing import ManualClock
from tests.breaker.kit import DependencyError, fail, make, make_open, make_probing

FULL = ("payments", 41.26, CircuitState.OPEN, 5, "ConnectError: refused", None)
FIELDS = ("name", "retry_after", "state", "failure_count", "last_error", "reason")


def fields(error: CircuitBreakerOpenError) -> tuple[object, ...]:
    return tuple(getattr(error, field) for field in FIELDS)


async def rejection(breaker: object) -> CircuitBreakerOpenError:
    with pytest.raises(CircuitBreakerOpenError) as caught:
        await breaker.acquire()
    return caught.value


def test_the_tree_is_the_one_that_is_drawn() -> None:
    assert CircuitBreakerOpenError.__mro__[:4] == (CircuitBreakerOpenError, RejectedError, RecloserError, Exception)


def test_the_error_carries_its_fields() -> None:
    assert fields(CircuitBreakerOpenError(*FULL)) == FULL


def test_the_fields_have_defaults() -> None:
    assert fields(CircuitBreakerOpenError("payments")) == ("payments", None, CircuitState.OPEN, 0, None, None)


def test_an_error_without_any_argument_can_still_be_read() -> None:
    assert fields(CircuitBreakerOpenError()) == ("", None, CircuitState.OPEN, 0, None, None)
    assert str(CircuitBreakerOpenError()).startswith("Circuit breaker '' is OPEN")


def test_the_message_of_an_open_breaker() -> None:
    expected = "Circuit breaker 'payments' is OPEN. Service unavailable; retry in 41.3 s"
    assert str(CircuitBreakerOpenError(*FULL)) == expected


def test_the_message_of_a_half_open_breaker() -> None:
    error = CircuitBreakerOpenError("payments", None, CircuitState.HALF_OPEN)
    assert str(error) == "Circuit breaker 'payments' is HALF_OPEN. Service unavailable; a probe is running"


def test_the_message_of_a_breaker_forced_open_without_an_end() -> None:
    error = CircuitBreakerOpenError("payments", None, CircuitState.FORCED_OPEN, 0, None, "maintenance")
    expected = "Circuit breaker 'payments' is FORCED_OPEN (maintenance). Service unavailable; no retry time is known"
    assert str(error) == expected


def test_the_message_of_a_breaker_forced_open_for_a_time() -> None:
    error = CircuitBreakerOpenError("payments", 12.0, CircuitState.FORCED_OPEN, 0, None, "maintenance")
    expected = "Circuit breaker 'payments' is FORCED_OPEN (maintenance). Service unavailable; retry in 12.0 s"
    assert str(error) == expected


def test_the_message_of_any_other_rejection() -> None:
    assert str(RejectedError("bulkhead", 1.5)) == "'bulkhead' rejected the call; retry in 1.5 s"
    assert str(RejectedError("bulkhead")) == "'bulkhead' rejected the call; no retry time is known"


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_the_error_can_be_pickled(protocol: int) -> None:
    error = CircuitBreakerOpenError(*FULL)
    loaded = pickle.loads(pickle.dumps(error, protocol))  # noqa: S301 - its own bytes
    assert (type(loaded), fields(loaded), str(loaded)) == (CircuitBreakerOpenError, FULL, str(error))


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_the_error_can_be_copied(copied: object) -> None:
    assert fields(copied(CircuitBreakerOpenError(*FULL))) == FULL


def test_notes_survive_pickling() -> None:
    error = CircuitBreakerOpenError(*FULL)
    error.add_note("while charging")
    assert pickle.loads(pickle.dumps(error)).__notes__ == ["while charging"]  # noqa: S301 - its own bytes


def test_a_user_can_define_a_subclass() -> None:
    class PaymentsDownError(CircuitBreakerOpenError):
        pass

    assert PaymentsDownError("payments", 3.0).retry_after == 3


@pytest.mark.anyio
async def test_a_rejection_by_an_open_breaker_carries_what_is_known(clock: ManualClock) -> None:
    breaker = make(clock, failure_threshold=2)
    for _ in range(2):
        with pytest.raises(DependencyError):
            await breaker.call(fail)
    clock.advance(18.75)
    error = await rejection(breaker)
    assert fields(error) == ("payments", 41.25, CircuitState.OPEN, 2, "DependencyError: down", None)


@pytest.mark.anyio
async def test_a_rejection_that_listeners_receive_carries_the_same(clock: ManualClock) -> None:
    breaker = await make_open(clock)
    plain = fields(await rejection(breaker))
    breaker.subscribe(lambda _: None)
    assert fields(await rejection(breaker)) == plain


@pytest.mark.anyio
async def test_a_rejection_by_a_half_open_breaker_names_no_time(clock: ManualClock) -> None:
    breaker, permit = await make_probing(clock)
    error = await rejection(breaker)
    assert fields(error) == ("payments", None, CircuitState.HALF_OPEN, 1, "DependencyError: down", None)
    permit.ignore()


@pytest.mark.anyio
async def test_a_rejection_by_a_breaker_forced_open_names_the_reason(clock: ManualClock) -> None:
    breaker = make(clock)
    breaker.force_open("maintenance", for_seconds=30)
    error = await rejection(breaker)
    assert fields(error) == ("payments", 30, CircuitState.FORCED_OPEN, 0, None, "maintenance")


@pytest.mark.anyio
async def test_a_rejection_names_the_state_that_rejected_even_if_a_listener_changes_it(clock: ManualClock) -> None:
    breaker, permit = await make_probing(clock)
    breaker.subscribe(lambda event: permit.succeed() if isinstance(event, CallRejected) else None)
    error = await rejection(breaker)
    assert breaker.state is CircuitState.CLOSED
    assert (error.state, error.failure_count) == (CircuitState.HALF_OPEN, 1)


@pytest.mark.anyio
async def test_the_last_failure_is_that_which_opened_the_breaker(clock: ManualClock) -> None:
    breaker = make(clock, failure_threshold=2)
    late = await breaker.acquire()
    for text in ("first", "second"):
        with pytest.raises(DependencyError):
            await breaker.call(fail, DependencyError(text))
    late.fail(DependencyError("late"))
    assert (await rejection(breaker)).last_error == "DependencyError: second"


@pytest.mark.anyio
async def test_the_text_of_the_last_failure_has_at_most_200_characters_of_the_message(clock: ManualClock) -> None:
    breaker = make(clock)
    with pytest.raises(DependencyError):
        await breaker.call(fail, DependencyError("x" * 1_000))
    text = (await rejection(breaker)).last_error
    assert text.startswith("DependencyError: xxx")
    assert len(text) == len("DependencyError: ") + 200
    assert text.endswith("...")


@pytest.mark.anyio
async def test_the_text_of_an_error_without_a_message_is_its_type(clock: ManualClock) -> None:
    breaker = make(clock)
    with pytest.raises(DependencyError):
        await breaker.call(fail, DependencyError())
    assert (await rejection(breaker)).last_error == "DependencyError"


class UnspeakableError(Exception):
    """An object whose text raises."""

    def __str__(self) -> str:
        raise RecursionError


@pytest.mark.anyio
async def test_an_error_whose_text_raises_is_named_by_its_type(clock: ManualClock) -> None:
    breaker, error = make(clock), UnspeakableError()
    events = []
    breaker.subscribe(events.append)
    with pytest.raises(UnspeakableError) as caught:
        await breaker.call(fail, error)
    assert caught.value is error
    assert (await rejection(breaker)).last_error == "UnspeakableError"
    assert events[0].error_message == ""


@pytest.mark.anyio
async def test_a_failed_result_is_named_as_such(clock: ManualClock) -> None:
    breaker = make(clock, failed_result=bool)
    assert await breaker.call(int, 1) == 1
    assert (await rejection(breaker)).last_error == "a result that counts as a failure"


@pytest.mark.anyio
async def test_a_probe_that_outlived_its_time_is_named_as_the_last_failure(clock: ManualClock) -> None:
    breaker, permit = await make_probing(clock)
    clock.advance(60)
    assert (await rejection(breaker)).last_error == "probe still running after 60 s"
    permit.ignore()


def through_json(error: Exception) -> Exception:
    """Returns an error that is made again from its type and its arguments, which a task queue keeps as JSON."""
    return type(error)(*json.loads(json.dumps(error.args)))


@pytest.mark.parametrize(
    "error",
    [
        CircuitBreakerOpenError("payments", None, CircuitState.HALF_OPEN),
        CircuitBreakerOpenError("payments", 12.0, CircuitState.FORCED_OPEN, 0, None, "maintenance"),
        CircuitBreakerOpenError(*FULL),
        BulkheadFullError("reports", None, 5, 2, 0.5),
        RateLimitedError("mail", 2.5),
        CallTimeoutError("slow", 1.5),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_survives_json(error: Exception) -> None:
    made = through_json(error)
    assert (type(made), str(made), made.args) == (type(error), str(error), error.args)


def test_a_state_that_was_json_is_a_state_again() -> None:
    assert through_json(CircuitBreakerOpenError(*FULL)).state is CircuitState.OPEN
