"""A block under a breaker, whose exceptions are classified by the rules of a database library.

How a block can end, and what that means:

- The breaker rejects the block: the inner scope is not entered.
- Entering raises: any OSError is the database's, because nothing else has run yet.
- The block raises, or leaving it does, as a COMMIT can: errors of the driver are classified by their codes, OSErrors as
  `_network` describes. Any other exception of the block is judged by the error of the driver that led to it, as when an
  endpoint turns that into a response, and is ignored if there is none.
- Both raise: the outcome that tells more counts. A failure tells more than a cancellation, which tells more than a
  success.
- The block ends without an exception: a success if it made or used a connection, else it is ignored. A block that asked
  nothing of the database says nothing about it; a pool lends its connections also when the server is gone.
- A failure or a cancellation settles the permit before the inner scope is left. Leaving may wait for a server that no
  longer responds, and must not turn the outcome into a success.
- An exception that raises while it is inspected is a failure, and is logged. The inner scope is still left.
- The breaker classifies cancellations, as it does for any call, if they came out of the library. One that the block's
  own work met is ignored, and so is a wait for a connection of an exhausted pool, however it ends.

The breaker records a failure by the type and the code of the driver's error. The message is left out: it may contain an
address, a statement or values of a row.
"""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from anyio import get_cancelled_exc_class

from recloser import CircuitBreaker
from recloser.events import Outcome
from recloser.integrations._network import came_out_of, is_network_error
from recloser.lowlevel import causes, leaves, log_limit

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType

    from recloser import Permit

T = TypeVar("T")

CANCELLED = None
MOST_TELLING_FIRST = (Outcome.FAILURE, CANCELLED, Outcome.SUCCESS, Outcome.IGNORED)


class Usage:
    """Watches whether a scope makes or uses a connection; this class can't tell, and assumes that it does.

    It is made before the scope is entered.
    """

    def begin(self, entered: object) -> None:
        """Note that the scope has been entered.

        Args:
            entered: What it has returned.
        """

    def end(self) -> bool:
        """Stop watching; return whether a connection was made or used."""
        return True


@dataclass(frozen=True)
class Rules:
    """How the exceptions of one library are classified.

    Args:
        packages: The library and its drivers.
        classify: Classifies an exception that is no OSError, given what the scope returned when it was entered, or
            None before. An exception that is not the library's is ignored.
        is_wait: Returns whether an exception ended a wait for a connection of an exhausted pool, given the same.
        is_own_only: Whether an exception counts only if it was raised in one of the packages.
        watch: Watches the use of connections in a scope.
        peer: Returns the host and the port of the database, given what the scope returned, or None before; None if it
            doesn't know them.
    """

    packages: tuple[str, ...]
    classify: Callable[[Exception, object], Outcome]
    is_wait: Callable[[BaseException, object], bool] = lambda _exc, _entered: False
    is_own_only: bool = False
    watch: Callable[[object], Usage] = lambda _scope: Usage()
    peer: Callable[[object], str | None] = lambda _entered: None


class Classified(NamedTuple):
    """An exception and its outcome; for an exception group, those of the leaf that decides."""

    outcome: Outcome | None
    """None for a cancellation, which the breaker classifies."""
    exc: BaseException | None


class GuardedScope(Generic[T]):
    """An async context manager that enters another one if the breaker admits, and settles by how that ends.

    Args:
        breaker: The breaker of the database.
        scope: The inner context manager.
        rules: The rules of the library that the scope belongs to.
    """

    __slots__ = ("_breaker", "_entered", "_handled", "_permit", "_rules", "_scope", "_usage")

    def __init__(self, breaker: CircuitBreaker, scope: AbstractAsyncContextManager[T, Any], rules: Rules) -> None:
        self._breaker = breaker
        self._scope = scope
        self._rules = rules
        self._permit: Permit | None = None
        self._entered: object = None
        self._usage = Usage()
        self._handled: int | None = None

    async def __aenter__(self) -> T:
        """Enter the inner scope.

        Raises:
            CircuitBreakerOpenError: The breaker rejects the block; the inner scope is not entered.
            RuntimeError: The guard is in use.
            BaseException: Whatever the inner scope raises, the same object.
        """
        if self._permit is not None:
            raise RuntimeError("this guard is in use; make one for each block")
        self._permit = permit = await self._breaker.acquire()
        permit.__enter__()
        self._entered = None
        self._handled = id(sys.exception())
        try:
            self._usage = usage = self._rules.watch(self._scope)
            entered = await self._scope.__aenter__()
        except BaseException as exc:
            self._permit = None
            self._settle(permit, self._classify(exc, entering=True))
            raise
        self._entered = entered
        usage.begin(entered)
        return entered

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        """Leave the inner scope, and settle by how the block and its exit ended."""
        permit, self._permit = self._permit, None
        if permit is None:
            raise RuntimeError("this guard has not been entered")
        ending = Classified(Outcome.SUCCESS, None) if exc is None else self._classify(exc)
        if exc is not None and self._cut_off_own_work(exc):
            permit.ignore(cancelled=True)
        elif ending.outcome in {Outcome.FAILURE, CANCELLED}:
            self._settle(permit, ending)
        try:
            suppressed: bool | None = await self._scope.__aexit__(exc_type, exc, traceback)
        except BaseException as late:
            self._usage.end()
            endings = [self._classify(late)] if exc is None else [self._classify(late), ending]
            self._settle(permit, _most_telling(endings))
            raise
        is_used = self._usage.end()
        if suppressed or exc is None:  # suppressed: such as what requests a rollback, which has then been made
            ending = Classified(Outcome.SUCCESS if is_used else Outcome.IGNORED, None)
        self._settle(permit, ending)
        return suppressed

    def _settle(self, permit: Permit, ending: Classified) -> None:
        """Settle a permit; a second time has no effect."""
        outcome, exc = ending
        if exc is not None and outcome is CANCELLED:
            permit.__exit__(type(exc), exc, None)
        elif exc is not None and outcome is Outcome.FAILURE:
            permit.fail(driver_error(exc), peer=self._peer())
        elif outcome is Outcome.IGNORED:
            permit.ignore()
        else:
            permit.succeed()

    def _cut_off_own_work(self, exc: BaseException) -> bool:
        """Return whether an exception of the block is a cancellation that met something else than the library."""
        cancelled, packages = get_cancelled_exc_class(), self._rules.packages
        return all(isinstance(leaf, cancelled) and not came_out_of(packages, leaf) for leaf in leaves(exc))

    def _peer(self) -> str | None:
        with suppress(Exception):  # the objects of the library are asked what they are connected to
            return self._rules.peer(self._entered)
        return None

    def _classify(self, exc: BaseException, *, entering: bool = False) -> Classified:
        """Classify an exception; a group by its leaves, of which cancellations do not count."""
        found = [self._classify_with_causes(leaf, entering=entering) for leaf in leaves(exc)]
        counted = [one for one in found if one.outcome is not CANCELLED]
        return _most_telling(counted) if counted else Classified(CANCELLED, exc)

    def _classify_with_causes(self, exc: BaseException, *, entering: bool) -> Classified:
        """Classify an exception; one that is ignored by the error of the driver that led to it, if there is one."""
        outcome = self._classify_leaf(exc, entering=entering)
        if outcome is not Outcome.IGNORED:
            return Classified(outcome, exc)
        for cause in causes(exc, handled=self._handled):
            of_cause = self._classify_leaf(cause, entering=False)
            if of_cause in {Outcome.FAILURE, Outcome.SUCCESS}:
                return Classified(of_cause, cause)
            if self._is_final(cause):
                break
        return Classified(outcome, exc)

    def _is_final(self, exc: BaseException) -> bool:
        """Return whether an exception is the driver's own, or ended a wait for a connection."""
        module = type(exc).__module__.partition(".")[0]
        return module in self._rules.packages or self._rules.is_wait(exc, self._entered)

    def _classify_leaf(self, exc: BaseException, *, entering: bool) -> Outcome | None:
        try:
            return self._classify_by_rules(exc, entering=entering)
        except Exception as fault:  # noqa: BLE001 - whatever a foreign exception raises while it is inspected
            message = "Cannot classify an exception in a block of circuit breaker %r; it counts as a failure"
            log_limit(self._breaker).log(logging.ERROR, message, self._breaker.name, fault=fault)
            return Outcome.FAILURE

    def _classify_by_rules(self, exc: BaseException, *, entering: bool) -> Outcome | None:
        rules = self._rules
        if rules.is_wait(exc, self._entered):
            return Outcome.IGNORED
        if not isinstance(exc, Exception):
            return CANCELLED
        if isinstance(exc, OSError):
            is_failure = entering or (is_network_error(exc) and came_out_of(rules.packages, exc))
            return Outcome.FAILURE if is_failure else Outcome.IGNORED
        if rules.is_own_only and not came_out_of(rules.packages, exc):
            return Outcome.IGNORED
        return rules.classify(exc, self._entered)


def _most_telling(endings: list[Classified]) -> Classified:
    return min(endings, key=lambda one: MOST_TELLING_FIRST.index(one.outcome))


def driver_error(exc: BaseException) -> BaseException:
    """Return the error that the driver raised; SQLAlchemy wraps it, and that of an asynchronous driver twice."""
    wrapped: BaseException | None = getattr(exc, "orig", None)
    return wrapped.__cause__ or wrapped if isinstance(wrapped, BaseException) else exc


def address(host: object, port: object) -> str | None:
    """Return a host and a port as text; None if they are no single address of the network, such as a socket's path."""
    if not isinstance(host, str) or not host or any(character in host for character in "/,@"):
        return None
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def has_failure(exc: BaseException, rules: Rules) -> bool:
    """Return whether an exception, or a leaf of a group, is a network error or a failure by the rules of a library."""
    return any(
        is_network_error(leaf) or (isinstance(leaf, Exception) and rules.classify(leaf, None) is Outcome.FAILURE)
        for leaf in leaves(exc)
    )


def checked_breaker(breaker: object) -> CircuitBreaker:
    """Return a breaker.

    Raises:
        TypeError: It is no breaker.
    """
    if not isinstance(breaker, CircuitBreaker):
        raise TypeError(f"breaker must be a CircuitBreaker, not {breaker!r}")
    return breaker
