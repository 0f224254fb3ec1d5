"""Describes exceptions as text: errors are kept as text, so that they keep no frames alive."""

from __future__ import annotations

from recloser._breaker.cancellation import deadline_of, is_cancellation

MESSAGE_LENGTH = 200


def describe(exc: BaseException | None) -> str:
    """Return an exception's type and message as text."""
    if exc is None:
        return "a result that counts as a failure"
    message = message_of(exc)
    return f"{type(exc).__qualname__}: {message}" if message else type(exc).__qualname__


def message_of(exc: BaseException) -> str:
    """Return an exception's message on one line of at most 200 characters; empty if `str()` fails.

    A deadline gets a message of its own, since anyio's contains the address of the cancel scope.
    """
    if is_cancellation(exc) and deadline_of(exc) is not None:
        return "the caller's deadline was exceeded"
    try:
        message = " ".join(str(exc).split())
    except Exception:  # noqa: BLE001 - whatever a user's __str__ raises
        return ""
    return message if len(message) <= MESSAGE_LENGTH else f"{message[: MESSAGE_LENGTH - 3]}..."


def error_text(exc: BaseException | None) -> tuple[str | None, BaseException | None]:
    """Return the type and message of an error as text, and the interrupt that arrived meanwhile, if any.

    User code makes the message. What it raises is ignored, except for KeyboardInterrupt and the like.
    """
    try:
        return describe(exc), None
    except BaseException as interrupt:  # noqa: BLE001 - raised once the call is settled
        return None, interrupt
