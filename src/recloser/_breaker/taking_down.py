"""Takes down the error of a call: once, as text, in the way that the breaker's `describe_error` wants."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

from recloser._breaker.error_text import ErrorText, taken_down, taken_down_by_type
from recloser._breaker.log import LogLimit, log_limit
from recloser._core.slots import checked

if TYPE_CHECKING:
    from collections.abc import Callable

    from recloser._core.machine import BreakerMachine

BAD_RESULT = "a result that counts as a failure"


class Described(Protocol):
    """What this module reads of a breaker's engine."""

    name: str
    machine: BreakerMachine
    definition: object


def limit_of(breaker: Described) -> LogLimit:
    """Return the limit for what a breaker logs of its calls; the breakers of a registry share one."""
    return log_limit(getattr(breaker.definition, "source", breaker))


def error_of(breaker: Described, exc: BaseException) -> ErrorText:
    """Return an exception as text.

    If `describe_error` raises or returns no text, that is logged, and the text is the type.
    """
    describe_error = breaker.machine.settings.describe_error
    if describe_error is None:
        return taken_down(exc)
    if isinstance(describe_error, str):  # TYPE_ONLY
        return taken_down_by_type(exc)
    try:
        return taken_down(exc, _returning_text(describe_error))
    except Exception as fault:  # noqa: BLE001 - logged
        message = "describe_error of circuit breaker %r raised; the error is described by its type"
        limit_of(breaker).log(logging.ERROR, message, breaker.name, fault=fault)
        return taken_down_by_type(exc)


def error_text(breaker: Described, exc: BaseException | None) -> tuple[str | None, BaseException | None]:
    """Return an error as text, and the interrupt that arrived meanwhile, if any.

    User code makes the message. What it raises is ignored, except for KeyboardInterrupt and the like.
    """
    if exc is None:
        return BAD_RESULT, None
    try:
        return error_of(breaker, exc), None
    except BaseException as interrupt:  # noqa: BLE001 - raised once the call is settled
        return None, interrupt


def _returning_text(describe_error: Callable[[BaseException], object]) -> Callable[[BaseException], str]:
    def described(exc: BaseException) -> str:
        text = checked("describe_error", describe_error(exc))
        if not isinstance(text, str):
            raise TypeError(f"describe_error must return a string, not an object of type {type(text).__name__}")
        return text

    return described
