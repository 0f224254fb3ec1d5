"""How the end of a call counts for its breaker: as a success, as a failure, or not at all.

The rules, in this order:

1. Cancellations are not classified here. As leaves of an exception group, they do not count.
2. An ignored exception is ignored, even if it is also expected. So is what is exempt: a rejection, and what was raised
   from one.
3. An expected exception is a failure.
4. A `BaseException` that is not an `Exception` (KeyboardInterrupt, SystemExit, GeneratorExit) is ignored, unless an
   expected type names it. Predicates only see instances of `Exception`.
5. Any other exception is a success: it shows that the dependency answered.

For an exception group, the leaves decide.
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import TYPE_CHECKING

from recloser._core.slots import checked
from recloser._core.time_limits import is_about_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    ExceptionSpec = type[BaseException] | tuple[type[BaseException], ...] | Callable[[BaseException], object]

MAY_HOLD_ANOTHER = frozenset({"last_attempt", "response"})
"""Attributes of exceptions in which a rejection may be found; outcomes of such types are not cached."""
CACHED_TYPES = 256
"""How many exception types a classifier caches before it starts again; some programs create types at run time."""


class Outcome(Enum):
    """How a call counts for its breaker."""

    SUCCESS = "success"
    FAILURE = "failure"
    IGNORED = "ignored"


class Classifier:
    """Classifies exceptions; caches the outcome per type if no predicate is involved, and no time limit.

    Args:
        expected: What counts as a failure: a type, a tuple of types, or a predicate.
        ignored: What is ignored: a type, a tuple of types, or a predicate.
        is_exempt: Returns whether an exception is ignored whatever `ignored` says. For an exception that stands
            alone, it depends on the type only.
        never_expected: Types that are never a failure, whatever `expected` says.
        is_cancellation: Returns whether an exception is a cancellation of the event loop.
        slot: The argument that `expected` was given for.
    """

    __slots__ = (
        "_expected",
        "_groups",
        "_ignored",
        "_is_cancellation",
        "_is_exempt",
        "_never_expected",
        "_slot",
        "outcome_by_type",
    )

    def __init__(
        self,
        expected: ExceptionSpec,
        ignored: ExceptionSpec,
        *,
        is_exempt: Callable[[BaseException], bool],
        never_expected: tuple[type[BaseException], ...] = (),
        is_cancellation: Callable[[BaseException], bool],
        slot: str = "expected_exception",
    ) -> None:
        self._expected = expected
        self._ignored = ignored
        self._is_exempt = is_exempt
        self._never_expected = never_expected
        self._is_cancellation = is_cancellation
        self._slot = slot
        self._groups = tuple(t for t in (*_types(expected), *_types(ignored)) if issubclass(t, BaseExceptionGroup))
        self.outcome_by_type: dict[type[BaseException], Outcome] = {}

    def classify(self, exc: BaseException) -> Outcome:
        """Return how an exception counts.

        Raises:
            BaseException: The exception of a predicate, if it raises.
        """
        if isinstance(exc, BaseExceptionGroup) and not (self._groups and isinstance(exc, self._groups)):
            return self._classify_leaves(exc)
        outcome = self._classify_one(exc)
        by_type = isinstance(self._expected, type | tuple) and isinstance(self._ignored, type | tuple)
        # A group of cancellations alone never gets here. What is about time is judged again by when it happened.
        if by_type and stands_alone(exc) and not is_about_time(exc):
            if len(self.outcome_by_type) >= CACHED_TYPES:
                self.outcome_by_type.clear()
            self.outcome_by_type[type(exc)] = outcome
        return outcome

    def _classify_leaves(self, group: BaseExceptionGroup[BaseException]) -> Outcome:
        counted = [leaf for leaf in leaves(group) if not self._is_cancellation(leaf)]
        # A NoAnswer next to other leaves does not count: a rejected call and a cache that misses are no sign that a
        # dependency answered.
        others = [leaf for leaf in counted if not isinstance(leaf, self._never_expected)]
        outcomes = {self._classify_one(leaf) for leaf in others or counted}
        if Outcome.FAILURE in outcomes:
            return Outcome.FAILURE
        return Outcome.SUCCESS if Outcome.SUCCESS in outcomes else Outcome.IGNORED

    def _classify_one(self, exc: BaseException) -> Outcome:
        if self._is_exempt(exc) or _matches("ignored_exception", self._ignored, exc):
            return Outcome.IGNORED
        if not isinstance(exc, self._never_expected) and _matches(self._slot, self._expected, exc):
            return Outcome.FAILURE
        return Outcome.SUCCESS if isinstance(exc, Exception) else Outcome.IGNORED


def stands_alone(exc: BaseException) -> bool:
    """Return whether there is no other exception that an exception was raised from, contains or holds."""
    if exc.__cause__ is not None or isinstance(exc, BaseExceptionGroup):
        return False
    for arg in exc.args:
        if isinstance(arg, BaseException):
            return False
    return not exc.__dict__ or MAY_HOLD_ANOTHER.isdisjoint(exc.__dict__)


def _matches(slot: str, spec: ExceptionSpec, exc: BaseException) -> bool:
    if isinstance(spec, type | tuple):
        return isinstance(exc, spec)
    return isinstance(exc, Exception) and bool(checked(slot, spec(exc)))


def _types(spec: ExceptionSpec) -> tuple[type[BaseException], ...]:
    if isinstance(spec, tuple):
        return spec
    return (spec,) if isinstance(spec, type) else ()


def leaves(exc: BaseException) -> Iterator[BaseException]:
    """Iterate over the exceptions in a group and in the groups inside it, in order.

    Any other exception is its own leaf. There is no recursion, so groups may be nested to any depth.
    """
    pending: list[BaseException] = [exc]
    while pending:
        exc = pending.pop()
        if isinstance(exc, BaseExceptionGroup):
            pending.extend(reversed(exc.exceptions))
        else:
            yield exc


def causes(exc: BaseException, *, handled: int | None = None) -> Iterator[BaseException]:
    """Iterate over an exception and everything that led to it, each once, the nearest first.

    What led to an exception are the members of a group, `__cause__` and `__context__`. `raise ... from None` only hides
    the context from tracebacks, so it is included.

    Args:
        exc: Any exception.
        handled: The `id()` of an exception that is left out, with all that led to it: of the one that was being handled
            when a call began, and that Python made the context of whatever the call raised.
    """
    pending: deque[BaseException | None] = deque([exc])
    seen = {handled}
    while pending:
        found = pending.popleft()
        if found is not None and id(found) not in seen:
            seen.add(id(found))
            yield found
            pending += found.exceptions if isinstance(found, BaseExceptionGroup) else ()
            pending += (found.__cause__, found.__context__)
