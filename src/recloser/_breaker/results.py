"""Settles calls by what they returned, off the closed path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recloser._breaker.notify import log_error
from recloser._core.outcomes import Outcome
from recloser._core.slots import refusal
from recloser._core.tickets import UNCOUNTED

if TYPE_CHECKING:
    from recloser._core.tickets import Ticket


def settle_result(engine: Any, ticket: Ticket, result: object, started: float | None) -> object:  # noqa: ANN401 - an Engine
    """Settle a call that returned; return its result."""
    if ticket is UNCOUNTED:
        return result
    failed_result = engine.machine.settings_of(ticket).failed_result
    try:
        passed = not (judgement := None if failed_result is None else failed_result(result))
    except BaseException as fault:  # noqa: BLE001 - handled there
        return predicate_raised(engine, ticket, result, fault, started)
    return settle_by_predicate(engine, ticket, result, judgement, started, passed=passed)


def settle_by_predicate(
    engine: Any,  # noqa: ANN401 - an Engine
    ticket: Ticket,
    result: object,
    judgement: object,
    started: float | None,
    *,
    passed: bool,
) -> object:
    """Settle a call that `failed_result` has judged; return its result."""
    fault = None if passed else refusal("failed_result", judgement)
    if fault is not None:
        return predicate_raised(engine, ticket, result, fault, started)
    if passed:
        engine.succeed(ticket, started)
    else:
        engine.settle(ticket, Outcome.FAILURE, started)
    return result


def predicate_raised(
    engine: Any,  # noqa: ANN401 - an Engine
    ticket: Ticket,
    result: object,
    fault: BaseException,
    started: float | None,
) -> object:
    """Settle a call whose `failed_result` raised: as failed, or as ignored after an interrupt."""
    if not isinstance(fault, Exception):
        engine.settle(ticket, Outcome.IGNORED, started)
        try:
            raise fault
        finally:
            del fault  # its traceback holds this frame
    engine.settle(ticket, Outcome.FAILURE, started)
    log_error(engine, "failed_result of circuit breaker %r raised; the call counts as failed", fault)
    return result
