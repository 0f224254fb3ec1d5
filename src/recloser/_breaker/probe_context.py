"""Which trial calls the running code belongs to.

A protected function may call another one of the same breaker. While the breaker is half-open the inner call would find
the permit taken by the outer one, whose failure would then be the breaker's own rejection, and no trial call could ever
succeed. So a call from inside a running trial call is a part of it: it goes through, and counts as nothing by itself.

What belongs to a trial call is told by a context variable, which the tasks inherit that the call starts, and anyio's
worker threads. It is set for trial calls alone. Where a call is settled by the time its caller goes on, nobody takes it
back: a settled trial call means nothing any more. Where that is not so, a stream between two items, a thread that
outlives its caller, it holds for a step.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator

    from recloser._core.machine import Probe

_entered: ContextVar[tuple[Probe, ...]] = ContextVar("recloser_trial_calls", default=())


def enter_trial(probe: Probe) -> None:
    """Note that what this context does from now on belongs to a trial call."""
    _entered.set((*(outer for outer in _entered.get() if not outer.settled), probe))


def entered_trials() -> tuple[Probe, ...]:
    """Return the trial calls that the running code belongs to, those of other breakers and settled ones too."""
    return _entered.get()


@contextmanager
def trial_step(probe: Probe | None) -> Generator[None]:
    """Run one step as a part of a trial call, if it is one: what comes afterwards is its caller's own."""
    if probe is not None:
        enter_trial(probe)
    try:
        yield
    finally:
        entered = _entered.get()  # by another context, if the step is garbage that is collected there
        if probe in entered:
            _entered.set(tuple(other for other in entered if other is not probe))
