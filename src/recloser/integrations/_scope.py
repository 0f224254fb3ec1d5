"""What the database integrations share: a block under a breaker, judged by the rules of the driver.

How a block is judged, once:

- Rejected: the inner scope is not entered.
- Entering fails: an OSError is the database's, whatever it tells, for nothing else has run yet.
- The block raises, or leaving does, as a COMMIT may: errors of the driver are judged by their codes, OSErrors as
  `_network` says. Whatever else the block raises is ignored.
- Where both raise, the more telling one counts: a failure, then a cancellation, then an answer.
- A failure and a cancellation settle the permit before the inner scope is left: leaving may have to wait for a server
  that says nothing, and nothing that happens there makes a success of it.
- An exception that raises when it is looked at is a failure, and logged: the inner scope is left all the same.
- Cancellations are judged by the breaker, as those of any call. But a wait for a connection of a pool that has lent all
  of its own is ignored, however it ends.

What is recorded of a failure is the type and the code of the driver's error, not its message: that may hold an address,
a statement, or values of a row.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from recloser import CircuitBreaker, Outcome
from recloser.integrations._http import stand_in
from recloser.integrations._network import is_network_error, is_network_error_of
from recloser.lowlevel import leaves

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType

    from recloser import Permit

T = TypeVar("T")

logger = logging.getLogger("recloser")

CANCELLED = None
MOST_TELLING_FIRST = (Outcome.FAILURE, CANCELLED, Outcome.SUCCESS, Outcome.IGNORED)


@dataclass(frozen=True)
class Rules:
    """How the errors of one library are judged.

    Args:
        packages: The library and its drivers.
        judge: Judges an exception that is no OSError, given what the scope handed out; ignored if it is none of the
            library's.
        is_wait: Tells whether an exception ended a wait for a connection of a pool that had lent all of its own, given
            whether the scope had been entered.
    """

    packages: tuple[str, ...]
    judge: Callable[[Exception, object], Outcome]
    is_wait: Callable[[BaseException, bool], bool] = lambda _exc, _entered: False


class Verdict(NamedTuple):
    """What an exception means, and which one: of a group, the leaf that decides."""

    outcome: Outcome | None
    """None for a cancellation and the like, which is the breaker's to judge."""
    exc: BaseException | None


class GuardedScope(Generic[T]):
    """An async context manager around another one: enters it if the breaker admits, and settles by how it went.

    Args:
        breaker: The database's.
        scope: The inner context manager.
        rules: Those of the library that it is of.
    """

    __slots__ = ("_breaker", "_entered", "_permit", "_rules", "_scope")

    def __init__(self, breaker: CircuitBreaker, scope: AbstractAsyncContextManager[T, Any], rules: Rules) -> None:
        self._breaker = breaker
        self._scope = scope
        self._rules = rules
        self._permit: Permit | None = None
        self._entered: object = None

    async def __aenter__(self) -> T:
        """Enter the inner scope.

        Raises:
            CircuitBreakerOpenError: The breaker rejects it; the inner scope was not entered.
            RuntimeError: The guard is in use.
            BaseException: Whatever the inner scope raises, the same object.
        """
        if self._permit is not None:
            raise RuntimeError("this guard is in use; make one for each block")
        self._permit = permit = await self._breaker.acquire()
        permit.__enter__()
        try:
            entered = await self._scope.__aenter__()
        except BaseException as exc:
            self._permit = None
            _settle(permit, self._judge(exc, entering=True))
            raise
        self._entered = entered
        return entered

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        """Leave the inner scope; settle by how the block and the leaving of it went."""
        permit, self._permit = self._permit, None
        if permit is None:
            raise RuntimeError("this guard has not been entered")
        verdict = Verdict(Outcome.SUCCESS, None) if exc is None else self._judge(exc)
        if verdict.outcome in {Outcome.FAILURE, CANCELLED}:
            _settle(permit, verdict)
        try:
            suppressed: bool | None = await self._scope.__aexit__(exc_type, exc, traceback)
        except BaseException as late:
            verdicts = [self._judge(late)] if exc is None else [self._judge(late), verdict]
            _settle(permit, min(verdicts, key=lambda one: MOST_TELLING_FIRST.index(one.outcome)))
            raise
        if suppressed:  # such as the exception that asks for a rollback, which has then been made
            permit.succeed()
        _settle(permit, verdict)
        return suppressed

    def _judge(self, exc: BaseException, *, entering: bool = False) -> Verdict:
        """Return what an exception means, that of a group by its leaves, of which cancellations don't count."""
        verdicts = [Verdict(self._judge_one(leaf, entering), leaf) for leaf in leaves(exc)]
        told = [verdict for verdict in verdicts if verdict.outcome is not CANCELLED]
        if not told:
            return Verdict(CANCELLED, exc)
        return min(told, key=lambda one: MOST_TELLING_FIRST.index(one.outcome))

    def _judge_one(self, exc: BaseException, entering: bool) -> Outcome | None:  # noqa: FBT001 - of two private methods
        try:
            return self._judge_by_rules(exc, entering)
        except Exception:  # what an exception of somebody else's does when it is looked at
            logger.exception(
                "An error in a block of circuit breaker %r can't be judged; it is a failure", self._breaker.name
            )
            return Outcome.FAILURE

    def _judge_by_rules(self, exc: BaseException, entering: bool) -> Outcome | None:  # noqa: FBT001 - as above
        if self._rules.is_wait(exc, not entering):
            return Outcome.IGNORED
        if not isinstance(exc, Exception):
            return CANCELLED
        if isinstance(exc, OSError):
            return Outcome.FAILURE if entering or is_network_error_of(self._rules.packages, exc) else Outcome.IGNORED
        return self._rules.judge(exc, self._entered)


def _settle(permit: Permit, verdict: Verdict) -> None:
    """Settle a permit, unless that has been done."""
    outcome, exc = verdict
    if exc is not None and outcome is CANCELLED:
        permit.__exit__(type(exc), exc, None)
    elif exc is not None and outcome is Outcome.FAILURE:
        permit.fail(_recorded(exc))
    elif outcome is Outcome.IGNORED:
        permit.ignore()
    else:
        permit.succeed()


def _recorded(exc: BaseException) -> Exception:
    """Return what stands for a failure in health, events and logs: the name and the code of the driver's error."""
    of_driver, code = driver_error(exc), None
    with suppress(Exception):  # as above
        code = getattr(of_driver, "sqlstate", None) or getattr(of_driver, "sqlite_errorname", None)
    return stand_in(type(of_driver).__name__)(*([code] if code else []))


def driver_error(exc: BaseException) -> BaseException:
    """Return what a driver raised: SQLAlchemy wraps it, those of asynchronous drivers twice."""
    wrapped: BaseException | None = getattr(exc, "orig", None)
    return wrapped.__cause__ or wrapped if isinstance(wrapped, BaseException) else exc


def has_failure(exc: BaseException, judge: Callable[[Exception, object], Outcome]) -> bool:
    """Return whether an exception, or one of a group, tells of a network or is judged to be a failure."""
    return any(
        is_network_error(leaf) or (isinstance(leaf, Exception) and judge(leaf, None) is Outcome.FAILURE)
        for leaf in leaves(exc)
    )


def checked_breaker(breaker: object) -> CircuitBreaker:
    """Return a breaker.

    Raises:
        TypeError: It is none.
    """
    if not isinstance(breaker, CircuitBreaker):
        raise TypeError(f"breaker must be a CircuitBreaker, not {breaker!r}")
    return breaker
