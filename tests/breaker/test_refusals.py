"""Wrong uses are refused with what to write instead; permits, guards and streams say what they are."""

import anyio
import pytest

from recloser import CircuitBreaker, ConsecutiveFailures, ExponentialBackoff, FailureRate
from recloser.errors import MisuseError
from recloser.testing import ManualClock
from tests.breaker.kit import answer, make, make_probing


def test_a_number_for_a_name_is_told_from_a_threshold() -> None:
    with pytest.raises(TypeError, match=r"^name must be a string, not 5; .* CircuitBreaker\(failure_threshold=5\)$"):
        CircuitBreaker(5)


def test_the_class_is_no_decorator() -> None:
    with pytest.raises(TypeError, match=r"^name must be a string, not <function answer .*breaker = .*then `@breaker`$"):
        CircuitBreaker(answer)


@pytest.mark.parametrize("name", [True, b"payments", object()])
def test_any_other_name_is_refused_without_a_guess(name: object) -> None:
    with pytest.raises(TypeError, match=r"^name must be a string, not [^;]*$"):
        CircuitBreaker(name)


@pytest.mark.parametrize("arguments", [(), (answer, answer)])
def test_a_breaker_decorates_without_parentheses(clock: ManualClock, arguments: tuple[object, ...]) -> None:
    with pytest.raises(
        MisuseError, match=r"^decorate a function with `@breaker`, or call one with `await breaker.call"
    ):
        make(clock)(*arguments)


@pytest.mark.parametrize("rules", [[ConsecutiveFailures(3)], (ConsecutiveFailures(3), FailureRate()), set()])
def test_several_rules_are_joined_and_not_listed(rules: object) -> None:
    with pytest.raises(TypeError, match=r"^trip_when must be a trip rule such as .*; join several with \|$"):
        CircuitBreaker(trip_when=rules)


def test_a_plain_with_block_is_refused(clock: ManualClock) -> None:
    breaker = make(clock)
    with pytest.raises(MisuseError, match=r"^a block is protected by `async with breaker.guard\(\)`"), breaker:
        pytest.fail("the block was entered")
    breaker.__exit__(None, None, None)


@pytest.mark.anyio
async def test_an_async_with_block_without_a_guard_is_refused(clock: ManualClock) -> None:
    breaker = make(clock)
    with pytest.raises(MisuseError, match=r"^a block is protected by `async with breaker.guard\(\)`, not by <Circuit"):
        async with breaker:
            pytest.fail("the block was entered")
    await breaker.__aexit__(None, None, None)


@pytest.mark.anyio
async def test_a_permit_and_a_guard_say_what_they_are(clock: ManualClock) -> None:
    breaker, probe = await make_probing(clock)
    assert repr(probe) == "<Permit of circuit breaker 'payments' for a probe: held>"
    probe.succeed()
    assert repr(probe) == "<Permit of circuit breaker 'payments' for a probe: settled>"
    with await breaker.acquire() as permit:
        assert repr(permit) == "<Permit of circuit breaker 'payments' for a call: held>"
    guard = breaker.guard()
    assert repr(guard) == "<Guard of circuit breaker 'payments': free>"
    async with guard as held:
        assert repr(held) == "<Guard of circuit breaker 'payments': in use>"


class UnreachableError(Exception):
    pass


class NotFoundError(Exception):
    pass


@pytest.mark.parametrize(
    ("exc", "is_one"),
    [
        (UnreachableError(), True),
        (NotFoundError(), False),
        (ExceptionGroup("both", [NotFoundError(), UnreachableError()]), True),
        (ExceptionGroup("one", [NotFoundError()]), False),
        (KeyboardInterrupt(), False),
        (GeneratorExit(), False),
        (MisuseError(), False),
    ],
)
def test_a_failure_is_what_the_breaker_counts_as_one(exc: BaseException, *, is_one: bool) -> None:
    assert CircuitBreaker(expected_exception=UnreachableError).is_failure(exc) is is_one
    users = CircuitBreaker(expected_exception=lambda error: isinstance(error, UnreachableError))
    assert users.is_failure(exc) is is_one


@pytest.mark.anyio
async def test_neither_a_rejection_nor_a_cancellation_is_a_failure(clock: ManualClock) -> None:
    breaker = make(clock, expected_exception=BaseException)
    rejection, counted = None, []
    breaker.force_open("maintenance")
    try:
        await breaker.call(answer)
    except Exception as error:  # noqa: BLE001 - looked at below
        rejection = error
    assert breaker.is_failure(rejection) is False
    with anyio.CancelScope() as scope:
        scope.cancel()
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class() as cancelled:
            counted.append(breaker.is_failure(cancelled))
            raise
    assert counted == [False]


def test_a_definition_of_failure_follows_new_settings() -> None:
    breaker = CircuitBreaker(expected_exception=UnreachableError)
    breaker.reconfigure(expected_exception=NotFoundError)
    assert (breaker.is_failure(NotFoundError()), breaker.is_failure(UnreachableError())) == (True, False)


def test_what_is_no_exception_is_no_failure_and_no_success_either() -> None:
    with pytest.raises(TypeError, match="exc must be an exception, not 404"):
        CircuitBreaker().is_failure(404)


def test_a_threshold_is_a_number_of_failures_or_none() -> None:
    assert CircuitBreaker(failure_threshold=7).failure_threshold == 7
    assert CircuitBreaker(trip_when=ConsecutiveFailures(3) | FailureRate(0.5)).failure_threshold == 3
    assert CircuitBreaker(trip_when=FailureRate(0.5)).failure_threshold is None
    assert CircuitBreaker(trip_when=FailureRate(1)).failure_threshold is None


@pytest.mark.parametrize("argument", ["expected_exception", "ignored_exception"])
def test_a_breaker_is_no_predicate_but_has_one(argument: str) -> None:
    users = CircuitBreaker("users")
    with pytest.raises(TypeError, match=rf"{argument} must be a predicate, not <.*; write {argument}=breaker.is_fail"):
        CircuitBreaker(**{argument: users})
    assert CircuitBreaker(**{argument: users.is_failure})


@pytest.mark.parametrize("value", ["60", None, ExponentialBackoff, True])
def test_a_reset_timeout_is_a_number_or_a_backoff(value: object) -> None:
    wanted = "reset_timeout_seconds must be a finite number of seconds >= 0 or an ExponentialBackoff, not "
    with pytest.raises(TypeError, match=wanted):
        CircuitBreaker(reset_timeout_seconds=value)
