"""The public functions that the integrations of asyncpg, psycopg and SQLAlchemy have in common."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from recloser.integrations._scope import GuardedScope, Rules, checked_breaker, has_failure, no_wait
from recloser.integrations._sqlstate import checked_sqlstates

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from contextlib import AbstractAsyncContextManager

    from recloser import CircuitBreaker, Outcome

T = TypeVar("T")


class Driver:
    """A library that reports errors by SQLSTATE.

    Args:
        packages: As in `Rules`.
        classify: As in `Rules`; its first argument are the SQLSTATEs and classes that are failures besides the usual
            ones.
        is_wait: As in `Rules`.
        is_own_only: As in `Rules`.
    """

    def __init__(
        self,
        packages: tuple[str, ...],
        classify: Callable[[frozenset[str], Exception, object], Outcome],
        *,
        is_wait: Callable[[BaseException, object], bool] = no_wait,
        is_own_only: bool = False,
    ) -> None:
        self._packages = packages
        self._classify = classify
        self._is_wait = is_wait
        self._is_own_only = is_own_only

    def rules(self, failure_sqlstates: Collection[str]) -> Rules:
        """Return the rules by which the library's exceptions are classified."""
        sqlstates = checked_sqlstates("failure_sqlstates", failure_sqlstates)
        return Rules(self._packages, partial(self._classify, sqlstates), self._is_wait, self._is_own_only)

    def is_failure(self, exc: BaseException, *, failure_sqlstates: Collection[str] = ()) -> bool:
        """Return whether an exception means that the database failed; for `expected_exception=` of a breaker.

        Use it with functions that talk to nothing but the database: a network error counts wherever it was raised.

        Args:
            exc: Any exception; a group is a failure if one of its exceptions is.
            failure_sqlstates: Further SQLSTATEs that are failures, or their classes of two characters.

        Raises:
            TypeError: `failure_sqlstates` is no collection of strings.
            ValueError: One of them is no SQLSTATE.
        """
        return has_failure(exc, self.rules(failure_sqlstates).classify)

    def guard(
        self,
        breaker: CircuitBreaker,
        scope: AbstractAsyncContextManager[T, Any],
        *,
        failure_sqlstates: Collection[str] = (),
    ) -> GuardedScope[T]:
        """Put an `async with` block under a breaker; the block is one call.

        The breaker classifies a cancellation as it does for any call. Its `expected_exception` has no effect on the
        block.

        Args:
            breaker: The breaker of the database.
            scope: An async context manager of the library, such as a transaction; entered if the breaker admits.
            failure_sqlstates: Further SQLSTATEs that are failures, or their classes of two characters.

        Returns:
            An async context manager that enters the scope and returns what it returns.

        Raises:
            TypeError: An argument is of the wrong type.
            ValueError: One of `failure_sqlstates` is no SQLSTATE.
            CircuitBreakerOpenError: On entering: the breaker rejects the block.
        """
        return GuardedScope(checked_breaker(breaker), scope, self.rules(failure_sqlstates))
