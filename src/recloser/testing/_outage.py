"""Short ways into the states of a breaker, through the same doors that an outage takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recloser import CircuitState
from recloser.lowlevel import checks

if TYPE_CHECKING:
    from recloser import CircuitBreaker, Permit
    from recloser.testing._clock import ManualClock

MOST_FAILURES = 10_000
_BY_HAND = (CircuitState.FORCED_OPEN, CircuitState.DISABLED)


async def open_breaker(
    breaker: CircuitBreaker,
    *,
    error: Exception | type[Exception] | None = None,
    clock: ManualClock | None = None,
    call_seconds: float = 0.0,
) -> None:
    """Let calls fail until the breaker opens, by its own rule; one that is open stays as it is.

    What is left is what an outage leaves: counts, cause, events, the log. A breaker whose reset timeout has elapsed, or
    that is half-open, opens again by a probe that fails. Nothing sleeps.

    Args:
        breaker: The breaker.
        error: What the calls fail with, as far as the breaker tells: an exception or a type of one; a
            `ConnectionError` by default.
        clock: The `ManualClock` that the breaker was made with; needed for `call_seconds`.
        call_seconds: How long each call takes on the clock (finite, >= 0), for a rule that opens by slow calls.

    Raises:
        RuntimeError: The breaker does not open, and why.
        TypeError: An argument is of the wrong type.
        ValueError: `call_seconds` is out of its range, or there is no clock for it.
    """
    checks.seconds("call_seconds", call_seconds, zero=True)
    if call_seconds and clock is None:
        raise ValueError(f"call_seconds={call_seconds!r} needs clock, the ManualClock that the breaker was made with")
    failure = _failure(error)
    _refuse_by_hand(breaker)
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
        f"{breaker.snapshot().rule}; if it opens by slow calls, give clock and call_seconds"
    )


async def half_open_breaker(breaker: CircuitBreaker, clock: ManualClock | None = None) -> None:
    """Open the breaker, if it is closed, let its reset timeout pass, and let a probe arrive and be given up.

    The breaker is half-open then, no probe is running, and the next call is one. The one that was given up counts
    as ignored, as a cancelled one would. A breaker that is half-open stays as it is. Nothing sleeps.

    Args:
        breaker: The breaker.
        clock: The `ManualClock` that the breaker was made with; not needed if the reset timeout has elapsed.

    Raises:
        RuntimeError: The reset timeout does not pass: there is no clock, or it is not the breaker's.
    """
    if breaker.state is CircuitState.HALF_OPEN:
        return
    _refuse_by_hand(breaker)
    if breaker.state is CircuitState.CLOSED:
        await open_breaker(breaker)
    _pass_open_time(breaker, clock)
    (await _permit(breaker)).ignore()


def _failure(error: Exception | type[Exception] | None) -> Exception:
    if error is None:
        return ConnectionError("an outage by recloser.testing")
    failure = error() if isinstance(error, type) and issubclass(error, Exception) else error
    if not isinstance(failure, Exception):
        raise TypeError(f"error must be an exception or a type of exceptions, not {error!r}")
    return failure


def _pass_open_time(breaker: CircuitBreaker, clock: ManualClock | None) -> None:
    while wait := breaker.retry_after:  # a sum of floats may end a hair before the reset timeout does
        if clock is None:
            raise RuntimeError(
                f"{breaker.name!r} is open for another {wait:.1f} s: give clock, the ManualClock that it was made with"
            )
        clock.advance(wait)
        if (breaker.retry_after or 0.0) > wait / 2:
            raise RuntimeError(f"the reset timeout of {breaker.name!r} does not pass: {clock!r} is not its clock")


async def _permit(breaker: CircuitBreaker) -> Permit:
    permit = await breaker.try_acquire()
    if permit is None:
        raise RuntimeError(f"{breaker.name!r} admits no call that could fail: {breaker.explain()}")
    return permit


def _refuse_by_hand(breaker: CircuitBreaker) -> None:
    if breaker.state in _BY_HAND:
        raise RuntimeError(f"{breaker.name!r} is {breaker.state}, which no outage changes: await breaker.reset() first")
