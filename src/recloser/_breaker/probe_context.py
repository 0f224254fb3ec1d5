"""Which probes the running code belongs to.

A protected function may call another one of the same breaker. While the breaker is half-open the inner call would find
the permit taken by the outer one, whose failure would then be the breaker's own rejection, and no probe could ever
succeed. So a call from inside a running probe is a part of it: it goes through, and counts as nothing by itself.

What belongs to a probe is told by a context variable, which the tasks inherit that the call starts, and anyio's
worker threads. It is set for probes alone. Where a call is settled by the time its caller goes on, nobody takes it
back: a settled probe means nothing any more. Where that is not so, a stream between two items, a thread that
outlives its caller, it holds for a step.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator

    from recloser._core.machine import Probe

_entered: ContextVar[tuple[Probe, ...]] = ContextVar("recloser_probes", default=())


def enter_probe(probe: Probe) -> None:
    """Note that what this context does from now on belongs to a probe."""
    _entered.set((*(outer for outer in _entered.get() if not outer.settled), probe))


def entered_probes() -> tuple[Probe, ...]:
    """Return the probes that the running code belongs to, those of other breakers and settled ones too."""
    return _entered.get()


@contextmanager
def probe_step(probe: Probe | None) -> Generator[None]:
    """Run one step as a part of a probe, if it is one: what comes afterwards is its caller's own."""
    if probe is not None:
        enter_probe(probe)
    try:
        yield
    finally:
        entered = _entered.get()  # by another context, if the step is garbage that is collected there
        if probe in entered:
            _entered.set(tuple(other for other in entered if other is not probe))
