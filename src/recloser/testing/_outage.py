"""Put a breaker into a state with real outcomes, as an outage does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recloser import CircuitState
from recloser.lowlevel import checks

if TYPE_CHECKING:
    from recloser import CircuitBreaker, Permit
    from recloser.testing._clock import ManualClock

MOST_FAILURES = 10_000
MANUAL_STATES = (CircuitState.FORCED_OPEN, CircuitState.DISABLED)


async def open_breaker(
    breaker: CircuitBreaker,
    *,
    error: Exception | type[Exception] | None = None,
    clock: ManualClock | None = None,
    call_seconds: float = 0.0,
) -> None:
    """Let calls fail until the breaker opens by its own rule; an open breaker stays as it is.

    Counts, cause, events and log are those of a real outage. If the reset timeout has elapsed, or the breaker is
    half-open, a failing probe opens it again. Nothing sleeps.

    Args:
        breaker: The breaker.
        error: The exception of the failing calls, or its type; a `ConnectionError` by default.
        clock: The `ManualClock` of the breaker; required with `call_seconds`.
        call_seconds: How long each call takes on the clock (finite, >= 0), for a rule that counts slow calls.

    Raises:
        RuntimeError: The breaker does not open; the message says why.
        TypeError: An argument is of the wrong type.
        ValueError: `call_seconds` is out of its range, or there is no clock for it.
    """
    checks.seconds("call_seconds", call_seconds, zero=True)
    if call_seconds and clock is None:
        raise ValueError(f"call_seconds={call_seconds!r} needs clock, the ManualClock of the breaker")
    failure = _failure(error)
    _refuse_manual_state(breaker)
    if breaker.state is CircuitState.OPEN and breaker.retry_after:
        return
    for _ in range(MOST_FAILURES):
        permit = await _permit(breaker)
        if clock is not None:
            clock.advance(call_seconds)
        permit.fail(failure)
        if breaker.state is CircuitState.OPEN:
            return
    raise RuntimeError(
        f"{breaker.name!r} is still {breaker.state} after {MOST_FAILURES} failures, by its rule "
        f"{breaker.snapshot().rule}; if it counts slow calls, pass clock and call_seconds"
    )


async def half_open_breaker(breaker: CircuitBreaker, clock: ManualClock | None = None) -> None:
    """Open the breaker if it is closed, let its reset timeout elapse, and start and abandon a probe.

    Then the breaker is half-open, no probe is running, and the next call is a probe. The abandoned probe counts as
    ignored. A half-open breaker stays as it is. Nothing sleeps.

    Args:
        breaker: The breaker.
        clock: The `ManualClock` of the breaker; not required if the reset timeout has elapsed.

    Raises:
        RuntimeError: The reset timeout does not elapse: there is no clock, or it is not the breaker's.
    """
    if breaker.state is CircuitState.HALF_OPEN:
        return
    _refuse_manual_state(breaker)
    if breaker.state is CircuitState.CLOSED:
        await open_breaker(breaker)
    _let_reset_timeout_elapse(breaker, clock)
    (await _permit(breaker)).ignore()


def _failure(error: Exception | type[Exception] | None) -> Exception:
    if error is None:
        return ConnectionError("an outage by recloser.testing")
    failure = error() if isinstance(error, type) and issubclass(error, Exception) else error
    if not isinstance(failure, Exception):
        raise TypeError(f"error must be an exception or a type of exceptions, not {error!r}")
    return failure


def _let_reset_timeout_elapse(breaker: CircuitBreaker, clock: ManualClock | None) -> None:
    while wait := breaker.retry_after:  # a sum of floats may fall slightly short of the reset timeout
        if clock is None:
            raise RuntimeError(f"{breaker.name!r} is open for another {wait:.1f} s: pass clock, its ManualClock")
        clock.advance(wait)
        if (breaker.retry_after or 0.0) > wait / 2:
            raise RuntimeError(f"the reset timeout of {breaker.name!r} does not elapse: {clock!r} is not its clock")


async def _permit(breaker: CircuitBreaker) -> Permit:
    permit = await breaker.try_acquire()
    if permit is None:
        raise RuntimeError(f"{breaker.name!r} does not admit a call that could fail: {breaker.explain()}")
    return permit


def _refuse_manual_state(breaker: CircuitBreaker) -> None:
    if breaker.state in MANUAL_STATES:
        raise RuntimeError(f"{breaker.name!r} is {breaker.state}, which no outage changes: call breaker.reset() first")
