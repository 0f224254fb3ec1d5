"""Which SQLSTATEs tell of an outage: the table of the documentation, and what each driver makes of it."""

from collections.abc import Callable
from itertools import cycle, islice
from types import SimpleNamespace

import asyncpg
import psycopg
import pytest
from sqlalchemy import exc as errors

from recloser import CircuitBreaker, CircuitState
from recloser.events import Outcome
from recloser.integrations import asyncpg as for_asyncpg
from recloser.integrations import psycopg as for_psycopg
from recloser.integrations import sqlalchemy as for_sqlalchemy
from recloser.integrations._sqlstate import checked_sqlstates, classify_sqlstate, severity_of

OUTAGES = [
    ("08000", "FATAL"),
    ("08001", None),
    ("08003", None),
    ("08006", "FATAL"),
    ("08P01", "FATAL"),
    ("53000", "ERROR"),
    ("53100", "ERROR"),
    ("53200", "ERROR"),
    ("53300", "FATAL"),
    ("57P01", "FATAL"),
    ("57P02", "FATAL"),
    ("57P03", "FATAL"),
    ("57P04", "FATAL"),
    ("58000", "ERROR"),
    ("58030", "ERROR"),
    ("XX001", "ERROR"),
    ("XX002", "ERROR"),
    ("XX000", "FATAL"),
    ("XX000", "PANIC"),
    ("55000", "FATAL"),
]
ANSWERS = [
    ("08P01", "ERROR"),
    ("08001", "ERROR"),
    ("22012", "ERROR"),
    ("22023", "FATAL"),
    ("23505", "ERROR"),
    ("25P02", "ERROR"),
    ("25P03", "FATAL"),
    ("25P04", "FATAL"),
    ("28000", "FATAL"),
    ("28P01", "FATAL"),
    ("3D000", "FATAL"),
    ("3F000", "ERROR"),
    ("40001", "ERROR"),
    ("40001", "FATAL"),
    ("40P01", "ERROR"),
    ("42501", "FATAL"),
    ("42601", "ERROR"),
    ("42P01", "ERROR"),
    ("53400", "ERROR"),
    ("54000", "ERROR"),
    ("55P03", "ERROR"),
    ("57P05", "FATAL"),
    ("58P01", "ERROR"),
    ("58P02", "ERROR"),
    ("P0001", "ERROR"),
    ("XX000", "ERROR"),
    ("XX000", None),
]
CONTENTION = ("40001", "40P01", "55P03", "23505", "42601", "22012")


def of_asyncpg(sqlstate: str, severity: str | None) -> Exception:
    fields = {"C": sqlstate, "M": "secret"} | ({"V": severity, "S": "übersetzt"} if severity else {})
    error: Exception = asyncpg.PostgresError.new(fields)
    return error


def of_psycopg(sqlstate: str, severity: str | None) -> Exception:
    """Makes an error of the class that says nothing, as psycopg does where it does not know a code."""
    told = {"sqlstate": sqlstate, "diag": SimpleNamespace(severity_nonlocalized=severity)}
    error: Exception = type("DatabaseError", (psycopg.DatabaseError,), told)("secret")
    return error


def of_sqlalchemy(original: Exception) -> Exception:
    """Wraps an error of a driver as SQLAlchemy does, with no type that says anything."""
    return errors.DBAPIError("select 1", None, original)


def emulated(original: Exception) -> Exception:
    """Wraps an error as the asynchronous dialects of SQLAlchemy do: the driver's own is the cause of another one."""
    middle = Exception("as of a synchronous driver")
    middle.__cause__ = original
    return middle


Make = Callable[[str, str | None], Exception]
WAYS = [
    pytest.param(of_asyncpg, for_asyncpg.is_failure, id="asyncpg"),
    pytest.param(of_psycopg, for_psycopg.is_failure, id="psycopg"),
    pytest.param(
        lambda *a: of_sqlalchemy(emulated(of_asyncpg(*a))), for_sqlalchemy.is_failure, id="sqlalchemy-asyncpg"
    ),
    pytest.param(of_asyncpg, for_sqlalchemy.is_failure, id="sqlalchemy-asyncpg-unwrapped"),
    pytest.param(lambda *a: of_sqlalchemy(of_psycopg(*a)), for_sqlalchemy.is_failure, id="sqlalchemy-psycopg"),
]


@pytest.mark.parametrize(("make", "is_failure"), WAYS)
@pytest.mark.parametrize(("sqlstate", "severity"), OUTAGES)
def test_an_outage_is_a_failure(
    make: Make, is_failure: Callable[[BaseException], bool], sqlstate: str, severity: str | None
) -> None:
    assert is_failure(make(sqlstate, severity))


@pytest.mark.parametrize(("make", "is_failure"), WAYS)
@pytest.mark.parametrize(("sqlstate", "severity"), ANSWERS)
def test_an_answer_is_none(
    make: Make, is_failure: Callable[[BaseException], bool], sqlstate: str, severity: str | None
) -> None:
    assert not is_failure(make(sqlstate, severity))
    assert classify_sqlstate(sqlstate, severity, frozenset()) is Outcome.SUCCESS


@pytest.mark.parametrize(("make", "is_failure"), WAYS)
def test_a_cancelled_statement_is_a_failure_only_if_it_is_asked_for(
    make: Make, is_failure: Callable[..., bool]
) -> None:
    cancelled = make("57014", "ERROR")
    assert not is_failure(cancelled)
    assert is_failure(cancelled, failure_sqlstates=("57014",))
    assert is_failure(cancelled, failure_sqlstates={"57"})
    assert not is_failure(make("57P05", "FATAL"), failure_sqlstates=["57014"])
    assert classify_sqlstate("57014", "ERROR", frozenset()) is Outcome.IGNORED


@pytest.mark.anyio
@pytest.mark.parametrize(("make", "is_failure"), WAYS)
async def test_a_thousand_deadlocks_and_other_answers_never_open_a_breaker_that_asks_by_a_predicate(
    make: Make, is_failure: Callable[[BaseException], bool]
) -> None:
    breaker = CircuitBreaker(failure_threshold=1, expected_exception=is_failure)
    for sqlstate in islice(cycle(CONTENTION), 1000):
        error = make(sqlstate, "ERROR")
        with pytest.raises(type(error)):
            await breaker.call(_raise, error)
    assert breaker.state is CircuitState.CLOSED
    with pytest.raises(Exception):  # noqa: B017, PT011 - of four ways
        await breaker.call(_raise, make("53300", "FATAL"))
    assert breaker.state is CircuitState.OPEN


async def _raise(error: Exception) -> None:
    raise error


def test_a_severity_is_read_in_english() -> None:
    assert severity_of(of_asyncpg("53300", "FATAL")) == "FATAL"
    assert severity_of(of_psycopg("53300", "FATAL")) == "FATAL"
    assert severity_of(ValueError()) is None


@pytest.mark.parametrize(
    ("exc", "expected"),
    [
        (asyncpg.InterfaceError("connection is closed"), True),
        (asyncpg.InterfaceError("cannot perform operation: another operation is in progress"), False),
        (asyncpg.InterfaceError("pool is closed"), False),
        (asyncpg.ProtocolError("unexpected message"), True),
        (asyncpg.TargetServerAttributeNotMatched("no primary"), True),
        (asyncpg.InternalClientError("a bug"), False),
        (asyncpg.UnknownPostgresError("without a code"), False),
        (ConnectionResetError(), True),
        (TimeoutError(), True),
        (FileNotFoundError(), False),
        (ValueError(), False),
        (KeyboardInterrupt(), False),
    ],
)
def test_an_error_of_asyncpg_without_a_code_is_classified_by_what_it_is(exc: BaseException, expected: bool) -> None:  # noqa: FBT001
    assert for_asyncpg.is_failure(exc) is expected


@pytest.mark.parametrize(
    ("exc", "expected"),
    [
        (psycopg.OperationalError("the connection is closed"), True),
        (psycopg.errors.ConnectionTimeout("connection timeout expired"), True),
        (psycopg.errors.PipelineAborted("pipeline aborted"), False),
        (psycopg.ProgrammingError("the query has 0 placeholders but 1 parameters were passed"), False),
        (psycopg.InterfaceError("the cursor is closed"), False),
        (for_psycopg.psycopg_pool.PoolTimeout(), False),
        (for_psycopg.psycopg_pool.TooManyRequests(), False),
        (for_psycopg.psycopg_pool.PoolClosed(), False),
        (OSError(113, "no route to host"), True),
        (PermissionError(), False),
    ],
)
def test_an_error_of_psycopg_without_a_code_is_classified_by_what_it_is(exc: BaseException, expected: bool) -> None:  # noqa: FBT001
    assert for_psycopg.is_failure(exc) is expected


@pytest.mark.parametrize(
    ("exc", "expected"),
    [
        (errors.DBAPIError("select 1", None, Exception(), connection_invalidated=True), True),
        (errors.OperationalError("select 1", None, Exception("of another driver")), False),
        (errors.OperationalError("select 1", None, psycopg.OperationalError("connection failed")), True),
        (errors.DBAPIError("select 1", None, psycopg.InterfaceError("the cursor is closed")), False),
        (errors.DBAPIError("select 1", None, emulated(ConnectionRefusedError())), True),
        (errors.TimeoutError("QueuePool limit"), False),
        (errors.NoResultFound(), False),
        (errors.PendingRollbackError(), False),
        (ConnectionRefusedError(), True),
        (TimeoutError(), True),
    ],
)
def test_an_error_of_sqlalchemy_without_a_code_is_classified_by_what_it_is(exc: BaseException, expected: bool) -> None:  # noqa: FBT001
    assert for_sqlalchemy.is_failure(exc) is expected


def test_a_code_says_more_than_a_lost_connection() -> None:
    idle = errors.DBAPIError("select 1", None, of_psycopg("57P05", "FATAL"), connection_invalidated=True)
    assert not for_sqlalchemy.is_failure(idle)


@pytest.mark.parametrize(
    ("codes", "error", "message"),
    [
        ("57014", TypeError, "failure_sqlstates must be a collection of SQLSTATEs, not '57014'"),
        (57014, TypeError, "failure_sqlstates must be a collection of SQLSTATEs, not 57014"),
        ([57014], TypeError, "failure_sqlstates must be a collection of SQLSTATEs, not of 57014"),
        (["5701"], ValueError, "failure_sqlstates must be SQLSTATEs such as '57014', or .* such as '57', not '5701'"),
        (["57p01"], ValueError, "failure_sqlstates must be SQLSTATEs such as .*, not '57p01'"),
        (["57014\n"], ValueError, "failure_sqlstates must be SQLSTATEs such as"),
    ],
)
def test_what_is_no_sqlstate_is_refused(codes: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        checked_sqlstates("failure_sqlstates", codes)
