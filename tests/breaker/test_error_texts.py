"""The text of an error: the type and the cause, by facts that are no secret."""

import errno
import pickle
import socket
import ssl
from collections.abc import Callable

import anyio
import pytest

from recloser import BreakerRegistry, CallTimeoutError, CircuitBreaker, CircuitBreakerOpenError, NoAnswer, StateChanged
from recloser._breaker.error_text import describe, describe_kind
from recloser.events import CallFailed
from recloser.testing import ManualClock

SECRET = "S3cr3t"  # noqa: S105 - that no secret gets out is what is tested


def error(kind: str, message: str = SECRET, /, base: type[Exception] = Exception, **attributes: object) -> Exception:
    """Makes an exception of a type that no module defines, with attributes."""
    return type(kind, (base,), attributes)(message)


def named(kind: str, name: str) -> Callable[[], object]:
    return lambda *_: type(kind, (), {"name": name})()


def refused_certificate(code: int, reason: str | None) -> ssl.SSLCertVerificationError:
    refused = ssl.SSLCertVerificationError(1, SECRET)
    refused.verify_code, refused.verify_message = code, reason
    return refused


def failed_handshake(reason: str) -> ssl.SSLError:
    failed = ssl.SSLError(1, SECRET)
    failed.reason = reason
    return failed


def caused(outer: Exception, cause: BaseException) -> Exception:
    outer.__cause__ = cause
    return outer


def handled(outer: Exception, inner: Exception) -> Exception:
    """Raises one exception while another one is handled, as a client does that hides this with `from None`."""

    def send() -> None:
        raise inner

    try:
        try:
            send()
        except Exception:  # noqa: BLE001 - whatever the test wants
            raise outer from None
    except Exception as caught:  # noqa: BLE001 - as above
        return caught


class HostileError(OSError):
    """An error that raises while it is inspected."""

    def __getattribute__(self, name: str) -> object:
        if name in {"errno", "verify_code", "response", "code"}:
            raise RuntimeError(SECRET)
        return super().__getattribute__(name)

    def __str__(self) -> str:
        raise RuntimeError(SECRET)


LIMITS = type("Request", (), {"extensions": {"timeout": {"connect": 0.5, "read": 30, "pool": None}}})()

FACTS = {
    "errno": (ConnectionRefusedError(errno.ECONNREFUSED, SECRET), "ConnectionRefusedError: ECONNREFUSED"),
    "path": (FileNotFoundError(errno.ENOENT, SECRET, SECRET), "FileNotFoundError: ENOENT"),
    "resolver": (socket.gaierror(socket.EAI_AGAIN, SECRET), "gaierror: EAI_AGAIN"),
    "joined": (OSError("Multiple exceptions: [Errno 111] a, [Errno 113] b"), "OSError: ECONNREFUSED, EHOSTUNREACH"),
    "expired": (
        refused_certificate(10, "certificate has expired"),
        "SSLCertVerificationError: certificate refused, code 10: certificate has expired",
    ),
    "other-host": (
        refused_certificate(62, f"Hostname mismatch, certificate is not valid for '{SECRET}'."),
        "SSLCertVerificationError: certificate refused, code 62: Hostname mismatch",
    ),
    "unknown-certificate": (refused_certificate(1, None), "SSLCertVerificationError: certificate refused, code 1"),
    "odd-certificate": (refused_certificate(1, f"'{SECRET}'"), "SSLCertVerificationError: certificate refused, code 1"),
    "handshake": (failed_handshake("WRONG_VERSION_NUMBER"), "SSLError: TLS WRONG_VERSION_NUMBER"),
    "sqlstate": (error("ServerError", sqlstate="57P03"), "ServerError: SQLSTATE 57P03"),
    "pgcode": (error("ServerError", pgcode="08006"), "ServerError: SQLSTATE 08006"),
    "wrapped": (error("DBAPIError", orig=error("Inner", sqlstate="53300")), "DBAPIError: SQLSTATE 53300"),
    "sqlite": (error("OperationalError", sqlite_errorname="SQLITE_BUSY"), "OperationalError: SQLITE_BUSY"),
    "status": (error("APIError", status_code=529), "APIError: 529"),
    "response": (
        error("StatusError", response=type("R", (), {"status_code": 503})()),
        "StatusError: 503 Service Unavailable",
    ),
    "grpc": (error("RpcError", code=named("Code", "UNAVAILABLE")), "RpcError: UNAVAILABLE"),
    "no-sqlstate": (error("InterfaceError", sqlstate=None), "InterfaceError"),
    "odd-sqlstate": (error("InterfaceError", sqlstate="none"), "InterfaceError"),
    "libpq": (
        error("OperationalError", "to 10.0.0.1: Connection refused", sqlstate=None),
        "OperationalError: ECONNREFUSED",
    ),
    "pool": (
        error("PoolTimeout", "couldn't get a connection after 0.50 sec", sqlstate=None),
        "PoolTimeout: pool timeout of 0.5 s",
    ),
    "limit": (error("ReadTimeout", request=LIMITS), "ReadTimeout: read timeout of 30 s"),
    "no-limit": (error("PoolTimeout", "", request=LIMITS), "PoolTimeout"),
    "own-limit": (
        CallTimeoutError("orders", 2.5),
        "CallTimeoutError: Timeout 'orders': the call did not end within 2.5 s and was cancelled",
    ),
    "cause": (caused(error("ClientError"), ConnectionResetError(errno.ECONNRESET, SECRET)), "ClientError: ECONNRESET"),
    "context": (handled(error("ClientError"), socket.gaierror(socket.EAI_NONAME, SECRET)), "ClientError: EAI_NONAME"),
    "leaf": (
        ExceptionGroup("unhandled errors in a TaskGroup", [ConnectionRefusedError(111, SECRET)]),
        "ExceptionGroup: ConnectionRefusedError: ECONNREFUSED",
    ),
    "leaves": (
        ExceptionGroup(SECRET, [*[ConnectionResetError(104, SECRET)] * 2, ExceptionGroup(SECRET, [TimeoutError()])]),
        "ExceptionGroup: 2 times ConnectionResetError: ECONNRESET; TimeoutError",
    ),
    "many-leaves": (
        ExceptionGroup(SECRET, [error(f"E{number}", status=500 + number) for number in range(4)]),
        "ExceptionGroup: E0: 500 Internal Server Error; E1: 501 Not Implemented; E2: 502 Bad Gateway; ...",
    ),
    "hostile": (HostileError(SECRET), "HostileError"),
}


@pytest.mark.parametrize("kind", FACTS)
def test_a_text_names_the_cause_by_a_fact_and_no_message(kind: str) -> None:
    exc, expected = FACTS[kind]
    assert describe(exc) == expected
    assert SECRET not in describe_kind(exc)


@pytest.mark.parametrize(
    ("exc", "expected"),
    [
        (ValueError("no luck"), "ValueError: no luck"),
        (
            caused(error("APIConnectionError", "Connection error."), error("ProtocolError", "")),
            "APIConnectionError: Connection error. (after ProtocolError)",
        ),
        (caused(error("Same", "x"), error("Same", "y")), "Same: x"),
        (OSError(99999, "odd"), "OSError: [Errno 99999] odd"),
        (socket.gaierror(12345, "odd"), "gaierror: [Errno 12345] odd"),
        (failed_handshake("odd reason"), "SSLError: S3cr3t"),
        (error("Odd", "x", sqlite_errorname="?", status=7, code="x"), "Odd: x"),
        (error("Odd", "x", code=lambda _: 1 / 0), "Odd: x"),
        (error("ReadTimeout", "x", request=None), "ReadTimeout: x"),
    ],
    ids=range(9),
)
def test_an_exception_without_a_fact_is_described_by_its_message(exc: Exception, expected: str) -> None:
    assert describe(exc) == expected


def test_what_the_caller_was_handling_is_no_cause() -> None:
    second = ValueError("no luck")
    second.__context__ = handled(error("First"), ConnectionRefusedError(errno.ECONNREFUSED, SECRET))
    assert describe(second) == "ValueError: no luck"


def test_a_cycle_of_causes_ends() -> None:
    one, other = ValueError("one"), KeyError("other")
    one.__cause__, other.__cause__ = other, one
    assert describe(one) == "ValueError: one (after KeyError)"


def test_a_log_line_has_no_message_but_recloser_s_own() -> None:
    assert describe_kind(ValueError(SECRET)) == "ValueError"
    assert describe_kind(NoAnswer(SECRET)) == "NoAnswer"
    assert describe_kind(ExceptionGroup("g", [ValueError(SECRET)])) == "ExceptionGroup: ValueError"
    rejection = CircuitBreakerOpenError("orders", 5.0)
    assert describe_kind(rejection).endswith("'orders' is OPEN. Service unavailable; retry in 5.0 s")


async def fail(exc: BaseException) -> None:
    raise exc


async def opened(exc: BaseException, **settings: object) -> tuple[CircuitBreaker, CallFailed]:
    """Opens a breaker by an exception; returns it and the event of the failure."""
    events: list[CallFailed] = []
    breaker = BreakerRegistry(failure_threshold=1, clock=ManualClock(), **settings).breaker("orders")
    breaker.subscribe(events.append, kinds=CallFailed)
    with pytest.raises(type(exc)):
        await breaker.call(fail, exc)
    (event,) = events
    return breaker, event


pytestmark = pytest.mark.filterwarnings("ignore::recloser.errors.ConfigurationWarning")


@pytest.mark.anyio
async def test_the_facts_are_fields_of_their_own(caplog: pytest.LogCaptureFixture) -> None:
    breaker, event = await opened(error("APIError", status_code=503))
    assert (event.error_type, event.error_message, event.peer) == ("APIError", "503 Service Unavailable", None)
    cause = breaker.health()["cause"]
    assert cause is not None
    assert (cause["last_error"], cause["error_type"]) == ("APIError: 503 Service Unavailable", "APIError")
    assert (cause["error_status"], cause["peer"], type(cause["last_error"])) == (503, None, str)
    assert caplog.records[-1].__dict__["error_status"] == 503


@pytest.mark.anyio
async def test_the_peer_that_a_permit_names_is_told_with_the_error() -> None:
    changes: list[StateChanged] = []
    failures: list[CallFailed] = []
    breaker = CircuitBreaker(failure_threshold=1)
    breaker.subscribe(changes.append, kinds=StateChanged)
    breaker.subscribe(failures.append, kinds=CallFailed)
    permit = await breaker.acquire()
    with pytest.raises(TypeError, match="peer must be a string, not 443"):
        permit.fail(OSError(), peer=443)  # type: ignore[arg-type]
    permit.fail(ConnectionRefusedError(errno.ECONNREFUSED, SECRET), peer="api.example:443")
    assert failures[0].peer == changes[0].cause.peer == "api.example:443"
    assert (failures[0].error_type, failures[0].error_message) == ("ConnectionRefusedError", "ECONNREFUSED")
    assert changes[0].fields()["peer"] == changes[0].cause.fields()["peer"] == "api.example:443"
    assert pickle.loads(pickle.dumps(changes[0].cause.last_error)).peer == "api.example:443"  # noqa: S301 - own bytes


@pytest.mark.anyio
async def test_describe_error_replaces_the_text() -> None:
    breaker, event = await opened(ValueError(SECRET), describe_error=lambda exc: f"a {type(exc).__name__}\n of ours")
    assert (event.error_type, event.error_message) == ("ValueError", "a ValueError of ours")
    assert breaker.snapshot().last_error == "a ValueError of ours"
    breaker, event = await opened(ValueError(SECRET), describe_error=lambda _: "x" * 201)
    assert len(event.error_message or "") == 200


@pytest.mark.anyio
async def test_describe_error_can_leave_the_type_only() -> None:
    breaker, event = await opened(ConnectionResetError(errno.ECONNRESET, SECRET), describe_error="type")
    assert (event.error_type, breaker.snapshot().last_error) == ("ConnectionResetError", "ConnectionResetError")
    breaker.reconfigure(describe_error=None)
    breaker.reset()
    with pytest.raises(ConnectionResetError):
        await breaker.call(fail, ConnectionResetError(errno.ECONNRESET, SECRET))
    assert breaker.snapshot().last_error == "ConnectionResetError: ECONNRESET"


async def late() -> str:
    return "late"


@pytest.mark.anyio
@pytest.mark.parametrize(
    "describe_error", [lambda _: 1 / 0, lambda _: None, lambda _: late()], ids=["raises", "no-text", "asynchronous"]
)
async def test_a_describe_error_that_fails_is_logged_and_leaves_the_type(
    describe_error: Callable[[BaseException], str], caplog: pytest.LogCaptureFixture
) -> None:
    breaker, event = await opened(ValueError(SECRET), describe_error=describe_error)
    assert (event.error_type, breaker.snapshot().last_error) == ("ValueError", "ValueError")
    assert "describe_error of circuit breaker 'orders' raised; the error is described by its type" in caplog.messages
    assert SECRET not in caplog.text


@pytest.mark.anyio
async def test_an_interrupt_in_describe_error_reaches_the_caller_once_the_breaker_is_open() -> None:
    def interrupted(_: BaseException) -> str:
        raise KeyboardInterrupt

    breaker = CircuitBreaker(failure_threshold=1, describe_error=interrupted)
    with pytest.raises(KeyboardInterrupt):
        await breaker.call(fail, ValueError())
    assert breaker.get_state() == "open"


@pytest.mark.parametrize(
    ("describe_error", "kind", "message"),
    [
        (late, TypeError, "describe_error must be a synchronous function that returns an exception as text, "),
        (42, TypeError, "describe_error must be a function that returns an exception as text, 'type' or None, not 42"),
        (str, TypeError, "describe_error must be a function that returns an exception as text, 'type' or None, not "),
        ("all", ValueError, "describe_error must be a function .* or None, not 'all'"),
    ],
    ids=["asynchronous", "number", "class", "word"],
)
def test_a_describe_error_that_can_t_work_is_refused(
    describe_error: object, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        CircuitBreaker(describe_error=describe_error)  # type: ignore[arg-type]


@pytest.mark.anyio
async def test_a_deadline_is_told_without_an_address() -> None:
    breaker = CircuitBreaker(failure_threshold=1, overdue_after_seconds=0)
    with anyio.move_on_after(0):
        await breaker.call(anyio.sleep_forever)
    assert str(breaker.snapshot().last_error).endswith(": the caller's deadline was exceeded")


@pytest.mark.anyio
@pytest.mark.parametrize("wanted", ["type", "tests.breaker.test_error_texts.of_ours"])
async def test_a_configuration_names_how_errors_are_described(wanted: str) -> None:
    registry = BreakerRegistry.from_config({"defaults": {"describe_error": wanted, "failure_threshold": 1}})
    with pytest.raises(ValueError, match=SECRET):
        await registry.breaker("orders").call(fail, ValueError(SECRET))
    assert registry.breaker("orders").snapshot().last_error == ("ValueError" if wanted == "type" else "ours")


def of_ours(_: BaseException) -> str:
    return "ours"


@pytest.mark.parametrize("wanted", ["builtins.str", "recloser.__version__", 5])
def test_a_configuration_that_names_no_function_is_refused(wanted: object) -> None:
    with pytest.raises(TypeError, match=r"defaults.describe_error must be 'type' or name a function"):
        BreakerRegistry.from_config({"defaults": {"describe_error": wanted}})
