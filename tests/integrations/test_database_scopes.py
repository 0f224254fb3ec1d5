"""A block under a breaker is entered if that admits it, and settled once by how it went."""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType

import anyio
import pytest

from recloser import CircuitBreakerOpenError, CircuitState
from recloser.events import Outcome
from recloser.integrations import sqlalchemy as for_sqlalchemy
from recloser.integrations._network import came_out_of, is_network_error
from recloser.integrations._scope import GuardedScope, Rules
from recloser.testing import ManualClock
from tests.integrations.kit import RESET_SECONDS, one, totals

pytestmark = pytest.mark.anyio


class DownError(Exception):
    """The database is down."""


class WrongError(Exception):
    """The database answers that the query is wrong."""


def classify(exc: Exception, _entered: object) -> Outcome:
    if isinstance(exc, DownError):
        return Outcome.FAILURE
    return Outcome.SUCCESS if isinstance(exc, WrongError) else Outcome.IGNORED


RULES = Rules((__name__,), classify)


class ForeignError(DownError):
    """An exception that looks like one of SQLAlchemy's, and is none."""

    orig = "no exception"


class HostileError(Exception):
    """An exception that raises when it is looked at."""

    @property
    def sqlstate(self) -> str:
        raise RuntimeError("do not look")


class Scope(AbstractAsyncContextManager[str]):
    """A scope of a database whose entering and leaving raise what they are told to."""

    def __init__(
        self, *, entering: BaseException | None = None, leaving: BaseException | None = None, suppress: bool = False
    ) -> None:
        self.entering = entering
        self.leaving = leaving
        self.suppress = suppress
        self.has_left = False

    async def __aenter__(self) -> str:
        if self.entering is not None:
            raise self.entering
        return "connection"

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        self.has_left = True
        if self.leaving is not None:
            raise self.leaving
        return self.suppress


async def counted(
    body: BaseException | None = None,
    *,
    entering: BaseException | None = None,
    leaving: BaseException | None = None,
    suppress: bool = False,
) -> dict[str, int]:
    """Runs a block; returns what was counted."""
    breaker = one()
    scope = Scope(entering=entering, leaving=leaving, suppress=suppress)
    expected = entering or leaving or (None if suppress else body)
    raised: BaseException | None = None
    try:
        async with GuardedScope(breaker, scope, RULES) as connection:
            assert connection == "connection"
            if body is not None:
                raise body  # noqa: TRY301 - a block that raises is what is tested
    except BaseException as exc:  # noqa: BLE001 - compared
        raised = exc
    assert raised is expected
    assert scope.has_left is (entering is None)
    return totals(breaker)


@pytest.mark.parametrize(
    ("body", "total"),
    [
        (None, "success"),
        (DownError(), "failure"),
        (WrongError(), "success"),
        (ValueError(), "ignored"),
        (KeyboardInterrupt(), "ignored"),
        (ExceptionGroup("", [ValueError(), WrongError(), ExceptionGroup("", [DownError()])]), "failure"),
        (ExceptionGroup("", [ValueError(), WrongError()]), "success"),
        (ExceptionGroup("", [ValueError()]), "ignored"),
        (BaseExceptionGroup("", [KeyboardInterrupt()]), "ignored"),
        (BaseExceptionGroup("", [KeyboardInterrupt(), DownError()]), "failure"),
    ],
)
async def test_a_block_is_settled_by_what_it_raises(body: BaseException | None, total: str) -> None:
    assert await counted(body) == {total: 1}


@pytest.mark.parametrize(
    ("entering", "total"),
    [
        (DownError(), "failure"),
        (WrongError(), "success"),
        (ValueError(), "ignored"),
        (FileNotFoundError("a socket"), "failure"),
        (ConnectionRefusedError(), "failure"),
    ],
)
async def test_a_block_that_can_not_be_entered_is_settled(entering: BaseException, total: str) -> None:
    assert await counted(entering=entering) == {total: 1}


@pytest.mark.parametrize(
    ("body", "leaving", "total"),
    [
        (None, DownError(), "failure"),
        (None, WrongError(), "success"),
        (None, ValueError(), "ignored"),
        (WrongError(), DownError(), "failure"),
        (ValueError(), DownError(), "failure"),
        (ValueError(), WrongError(), "success"),
        (WrongError(), ValueError(), "success"),
        (ValueError(), KeyError(), "ignored"),
        (DownError(), ValueError(), "failure"),
        (WrongError(), KeyboardInterrupt(), "ignored"),
    ],
)
async def test_leaving_counts_as_well(body: BaseException | None, leaving: BaseException, total: str) -> None:
    assert await counted(body, leaving=leaving) == {total: 1}


def made_of(error: BaseException, *, further: BaseException | None = None) -> BaseException:
    """Makes an error of the block's own while another one is handled."""
    try:
        try:
            raise error
        except type(error) as caught:
            raise LookupError from further or caught
    except LookupError as made:
        return made


class BusyError(Exception):
    """Stands for a wait for a connection, which is ignored."""


@pytest.mark.parametrize(
    ("body", "total"),
    [
        (made_of(DownError()), "failure"),
        (made_of(WrongError()), "success"),
        (made_of(ValueError()), "ignored"),
        (made_of(ValueError(), further=DownError()), "failure"),
        (made_of(made_of(DownError())), "failure"),
        (made_of(made_of(WrongError(), further=DownError())), "failure"),
        (made_of(KeyboardInterrupt(), further=ValueError()), "ignored"),
        (made_of(FileNotFoundError()), "ignored"),
        (ExceptionGroup("", [made_of(DownError())]), "failure"),
    ],
)
async def test_an_error_of_the_blocks_own_counts_as_the_drivers_error_that_led_to_it(
    body: BaseException, total: str
) -> None:
    assert await counted(body) == {total: 1}


async def test_the_drivers_error_behind_one_of_the_block_is_the_one_that_is_recorded() -> None:
    breaker = one()
    with pytest.raises(LookupError):
        async with GuardedScope(breaker, Scope(), RULES):
            raise made_of(DownError())
    assert "DownError" in breaker.explain()


@pytest.mark.parametrize(
    "rules",
    [
        Rules((__name__,), classify, is_wait=lambda exc, _entered: isinstance(exc, BusyError)),
        Rules((__name__, BusyError.__module__.partition(".")[0]), classify),
    ],
    ids=["a wait for a connection", "an error of the driver"],
)
async def test_what_led_to_an_ignored_error_of_the_driver_does_not_count(rules: Rules) -> None:
    breaker, busy = one(), BusyError()
    busy.__context__ = DownError()
    with pytest.raises(LookupError):
        async with GuardedScope(breaker, Scope(), rules):
            raise made_of(busy)
    assert totals(breaker) == {"ignored": 1}


async def test_an_error_that_was_handled_before_the_block_does_not_count() -> None:
    breaker = one()
    try:
        raise DownError  # noqa: TRY301 - it is handled here
    except DownError:
        with pytest.raises(LookupError) as caught:
            async with GuardedScope(breaker, Scope(), RULES):
                raise LookupError  # noqa: B904 - its context is what is tested
    assert isinstance(caught.value.__context__, DownError)
    assert totals(breaker) == {"ignored": 1}


async def test_an_attribute_that_only_looks_like_a_drivers_error_is_none() -> None:
    assert await counted(ForeignError()) == {"failure": 1}
    assert not for_sqlalchemy.is_failure(ForeignError())


async def test_an_error_that_cannot_be_classified_is_a_failure_and_the_scope_is_left(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def look(exc: Exception, _entered: object) -> Outcome:
        return Outcome.SUCCESS if exc.sqlstate else Outcome.IGNORED  # type: ignore[attr-defined]

    breaker, scope, error = one(), Scope(), HostileError()
    with pytest.raises(HostileError) as raised:
        async with GuardedScope(breaker, scope, Rules((__name__,), look)):
            raise error
    assert raised.value is error
    assert scope.has_left
    assert totals(breaker) == {"failure": 1}
    assert "Cannot classify an exception" in caplog.text


async def test_a_scope_that_raises_the_error_of_its_block_again_counts_it_once() -> None:
    error = WrongError()
    assert await counted(error, leaving=error) == {"success": 1}


async def test_a_scope_that_keeps_the_error_of_its_block_to_itself_is_heeded() -> None:
    assert await counted(ValueError(), suppress=True) == {"success": 1}
    assert await counted(DownError(), suppress=True) == {"failure": 1}


async def test_a_failure_is_settled_before_leaving_which_may_hang() -> None:
    breaker = one()
    seen = []

    @asynccontextmanager
    async def hanging() -> AsyncGenerator[None]:
        try:
            yield
        finally:
            seen.append(breaker.state)

    with pytest.raises(DownError):
        async with GuardedScope(breaker, hanging(), RULES):
            raise DownError
    assert seen == [CircuitState.OPEN]


async def test_an_open_breaker_does_not_let_the_scope_be_entered() -> None:
    breaker = one()
    breaker.force_open("maintenance")
    with pytest.raises(CircuitBreakerOpenError):
        async with GuardedScope(breaker, Scope(entering=AssertionError("entered")), RULES):
            pass


async def test_a_rejection_within_a_block_is_ignored() -> None:
    breaker, other = one(), one()
    other.force_open("maintenance")
    with pytest.raises(CircuitBreakerOpenError):
        async with GuardedScope(breaker, Scope(), RULES):
            await other.acquire()
    assert totals(breaker) == {"ignored": 1}


async def test_a_cancelled_block_is_ignored() -> None:
    breaker = one()
    with anyio.CancelScope() as scope:
        async with GuardedScope(breaker, Scope(), RULES):
            scope.cancel()
            await anyio.sleep_forever()
    assert totals(breaker) == {"cancelled": 1}


@pytest.mark.parametrize("seconds", [0, 0.15])
async def test_a_block_that_a_deadline_ends_in_its_own_work_is_ignored(seconds: float) -> None:
    breaker = one()
    with anyio.move_on_after(seconds):
        async with GuardedScope(breaker, Scope(), Rules(("driver",), classify)):
            await anyio.sleep_forever()
    assert totals(breaker) == {"cancelled": 1}


async def test_a_block_that_a_deadline_ends_while_it_waits_for_the_library_is_a_failure() -> None:
    breaker = one()
    with anyio.move_on_after(0.15):
        async with GuardedScope(breaker, Scope(), RULES):
            await anyio.sleep_forever()
    assert totals(breaker) == {"failure": 1, "overdue": 1}


async def test_a_deadline_that_ends_leaving_is_a_failure() -> None:
    breaker = one()

    @asynccontextmanager
    async def slow() -> AsyncGenerator[None]:
        yield
        await anyio.sleep_forever()

    with anyio.move_on_after(0.15):
        async with GuardedScope(breaker, slow(), RULES):
            pass
    assert totals(breaker) == {"failure": 1, "overdue": 1}


async def test_a_deadline_that_ends_entering_is_a_failure_unless_it_was_a_wait_for_the_pool() -> None:
    @asynccontextmanager
    async def slow() -> AsyncGenerator[None]:
        await anyio.sleep_forever()
        yield

    for is_wait, total in ((False, {"failure": 1, "overdue": 1}), (True, {"ignored": 1})):
        breaker = one()
        rules = Rules((__name__,), classify, lambda _exc, entered, answer=is_wait: answer and not entered)
        with anyio.move_on_after(0.15):
            async with GuardedScope(breaker, slow(), rules):
                pass
        assert totals(breaker) == total


async def test_what_a_probe_block_calls_by_the_same_breaker_is_a_part_of_it() -> None:
    clock = ManualClock()
    breaker = one(clock=clock)
    assert await counted_on(breaker, DownError()) == {"failure": 1}
    clock.advance(RESET_SECONDS)
    async with GuardedScope(breaker, Scope(), RULES), GuardedScope(breaker, Scope(), RULES):
        pass
    assert breaker.state is CircuitState.CLOSED
    assert totals(breaker) == {"failure": 1, "success": 1, "probe": 1}


async def counted_on(breaker, error: Exception) -> dict[str, int]:  # noqa: ANN001 - a breaker
    with pytest.raises(type(error)):
        async with GuardedScope(breaker, Scope(), RULES):
            raise error
    return totals(breaker)


async def test_a_guard_is_for_one_block_at_a_time() -> None:
    guarded = GuardedScope(one(), Scope(), RULES)
    async with guarded:
        with pytest.raises(RuntimeError, match="this guard is in use; make one for each block"):
            await guarded.__aenter__()
    with pytest.raises(RuntimeError, match="this guard has not been entered"):
        await guarded.__aexit__(None, None, None)


def refuse_out_of_this_module() -> None:
    raise ConnectionRefusedError


async def test_a_network_error_in_a_block_counts_if_it_came_out_of_the_driver() -> None:
    for packages, total in (((__name__,), "failure"), (("another_driver",), "ignored")):
        breaker = one()
        with pytest.raises(ConnectionRefusedError):
            async with GuardedScope(breaker, Scope(), Rules(packages, classify)):
                refuse_out_of_this_module()
        assert totals(breaker) == {total: 1}


async def test_an_error_of_a_file_in_a_block_does_not_count_though_it_came_out_of_the_driver() -> None:
    assert await counted(PermissionError()) == {"ignored": 1}


def test_an_error_that_was_never_raised_came_out_of_nowhere() -> None:
    assert not came_out_of((__name__,), TimeoutError())


def test_a_package_is_known_by_its_modules() -> None:
    with pytest.raises(ConnectionRefusedError) as raised:
        refuse_out_of_this_module()
    assert came_out_of((__name__.rpartition(".")[0] or __name__,), raised.value)
    assert not came_out_of((__name__[:-1],), raised.value)


@pytest.mark.parametrize(
    ("exc", "expected"),
    [
        (ConnectionAbortedError(), True),
        (TimeoutError(), True),
        (OSError(101, "network is unreachable"), True),
        (OSError(28, "no space left on device"), False),
        (ValueError(), False),
    ],
)
def test_an_error_of_a_network_is_told_from_others(exc: Exception, expected: bool) -> None:  # noqa: FBT001
    assert is_network_error(exc) is expected
