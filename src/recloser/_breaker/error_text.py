"""Describes exceptions as text: errors are kept as text, so that they keep no frames alive.

An error is described once, where it is taken down, and no secret of it goes further. The text is the type and the facts
that the exception has (see `facts`). An exception without any is described by the nearest cause that has some, else by
its message, as `cleaning` leaves it. A group is described by its leaves.

`ErrorText` also has what may be told to anybody, each as a field of its own: the type, the HTTP status, and the peer.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from recloser._breaker.cancellation import deadline_of, is_cancellation
from recloser._breaker.facts import chain_of, fact_of, is_bare, is_of_database, status_text
from recloser._core.cleaning import clean, shortened
from recloser._core.http_status import http_status
from recloser._core.outcomes import leaves
from recloser.errors import CallTimeoutError, FallbackExhaustedError, NoAnswer, RecloserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Self

T = TypeVar("T")

MOST_LEAVES = 100
"""How many leaves of a group are looked at."""
MOST_KINDS = 3
"""How many kinds of leaves are described."""
OF_CODE = (AttributeError, ImportError, NameError, TypeError)
"""What programming errors raise; their messages are about code, and not about what it works on."""


class ErrorText(str):
    """An error as text.

    Attributes:
        message: The text without the type; empty if there is nothing else.
        error_type: The qualified name of the exception's type.
        status: The HTTP status that the exception has; None if it has none.
        peer: The host and the port that were called, if an integration knows them.
    """

    __slots__ = ("error_type", "message", "peer", "status")

    error_type: str
    message: str
    status: int | None
    peer: str | None

    def __new__(
        cls,
        text: str,
        message: str = "",
        error_type: str = "",
        status: int | None = None,
        peer: str | None = None,
    ) -> Self:
        """Make the text and set its fields."""
        self = super().__new__(cls, text)
        self.message = message
        self.error_type = error_type
        self.status = status
        self.peer = peer
        return self


class FailureAt(Exception):  # noqa: N818 - not an error of its own
    """Represents an error together with the peer that was called; never raised.

    Args:
        error: The error.
        peer: The host and the port.
    """

    error: BaseException
    peer: str

    def __init__(self, error: BaseException, peer: str) -> None:
        super().__init__(error, peer)
        self.error = error
        self.peer = peer


def taken_down(exc: BaseException, describe_error: Callable[[BaseException], str] | None = None) -> ErrorText:
    """Return an exception as text.

    Args:
        exc: The exception.
        describe_error: Describes it in place of this module; its text is kept as it is, but on one line of at most 200
            characters.
    """
    peer: str | None = None
    if isinstance(exc, FailureAt):
        peer, exc = exc.peer, exc.error
    error_type = type(exc).__qualname__
    status = None if is_bare(exc) else _first(http_status, exc)
    if describe_error is not None:
        text = shortened(describe_error(exc))
        return ErrorText(text, text, error_type, status, peer)
    message = message_of(exc)
    return ErrorText(_joined(error_type, message), message, error_type, status, peer)


def taken_down_by_type(exc: BaseException) -> ErrorText:
    """Return the type of an exception as text, with the fields that any text has."""
    return taken_down(exc, lambda error: type(error).__qualname__)


def describe(exc: BaseException) -> str:
    """Return an exception's type and what is known about it as text."""
    return _joined(type(exc).__qualname__, message_of(exc))


def describe_kind(exc: BaseException) -> str:
    """Return an exception's type and its facts, for a log: nothing that a call was about can be in it.

    recloser's own messages are about names and limits, and those of programming errors about code; they are kept.
    """
    error_type = type(exc).__qualname__
    if isinstance(exc, OF_CODE) or (isinstance(exc, RecloserError) and not isinstance(exc, _QUOTING)):
        return _joined(error_type, message_of(exc))
    if isinstance(exc, BaseExceptionGroup):
        return _joined(error_type, _of_leaves(exc, describe_kind))
    return _joined(error_type, _fact_behind(exc) or "")


_QUOTING = (FallbackExhaustedError, NoAnswer)
"""Errors of recloser whose messages are those of others."""


def message_of(exc: BaseException) -> str:
    """Return what is known about an exception besides its type, at most 200 characters; empty if that is nothing.

    A deadline gets a message of its own, since anyio's contains the address of the cancel scope.
    """
    if is_cancellation(exc) and deadline_of(exc) is not None:
        return "the caller's deadline was exceeded"
    if isinstance(exc, BaseExceptionGroup):
        return shortened(_of_leaves(exc, describe))
    if isinstance(exc, CallTimeoutError):
        return clean(str(exc))
    if isinstance(exc, OSError) or not is_bare(exc):
        fact = _fact_behind(exc)
        if fact is not None or is_of_database(exc):
            return fact or ""
    try:
        message = clean(str(exc))
    except Exception:  # noqa: BLE001 - whatever a user's __str__ raises
        message = ""
    return message + _after(exc)


def public_error(error_type: str, status: int | None = None, peer: str | None = None) -> str:
    """Return what may be told to anybody about an error, as text.

    Args:
        error_type: The name of its type.
        status: The HTTP status that it has.
        peer: The host and the port that were called.
    """
    public = _joined(error_type, "" if status is None else status_text(status))
    return public if peer is None else f"{public} ({peer})"


def _joined(error_type: str, message: str) -> str:
    return f"{error_type}: {message}" if message else error_type


def _fact_behind(exc: BaseException) -> str | None:
    """Return the fact of an exception, else that of the nearest of its causes that has one."""
    return _first(fact_of, exc)


def _first(read: Callable[[BaseException], T | None], exc: BaseException) -> T | None:
    """Return the first thing that can be read from an exception, its leaves or its causes; None if there is nothing."""
    for error in chain_of(exc):
        for leaf in islice(leaves(error), MOST_LEAVES) if isinstance(error, BaseExceptionGroup) else (error,):
            try:
                found = read(leaf)
            except Exception:  # noqa: BLE001, S112 - whatever a foreign exception raises while it is inspected
                continue
            if found is not None:
                return found
    return None


def _after(exc: BaseException) -> str:
    """Return the type of the error that led to an exception without facts."""
    cause = exc.__cause__
    other = isinstance(cause, Exception) and type(cause).__name__ != type(exc).__name__
    return f" (after {type(cause).__qualname__})" if other else ""


def _of_leaves(group: BaseExceptionGroup[BaseException], described: Callable[[BaseException], str]) -> str:
    """Return the leaves of a group as text, equal ones once; cancellations are left out if there is anything else."""
    found = list(islice(leaves(group), MOST_LEAVES))
    counts: dict[str, int] = {}
    for text in map(described, [leaf for leaf in found if not is_cancellation(leaf)] or found):
        counts[text] = counts.get(text, 0) + 1
    return "; ".join(_counted(islice(counts.items(), MOST_KINDS))) + ("; ..." if len(counts) > MOST_KINDS else "")


def _counted(counts: Iterable[tuple[str, int]]) -> Iterable[str]:
    return (text if count == 1 else f"{count} times {text}" for text, count in counts)
