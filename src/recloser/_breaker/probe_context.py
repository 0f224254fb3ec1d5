"""Tracks which probes the running code belongs to.

A protected function can call another function of the same breaker. While the breaker is half-open, the outer call holds
the permit, so the inner call would be rejected; the rejection would end the outer call, and no probe could ever
succeed. So a call from inside a running probe is part of that probe: it goes through, and is not counted separately.

A context variable holds the probes of the running code. Tasks that a probe starts inherit it, and so do anyio's worker
threads. Only probes set it. After most calls nothing resets it, because a settled probe has no effect. If the caller
runs on before the probe is settled (a stream between two items, a thread that outlives its caller), the variable is set
for one step at a time.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator

    from recloser._core.tickets import Probe

_entered: ContextVar[tuple[Probe, ...]] = ContextVar("recloser_probes", default=())


def enter_probe(probe: Probe) -> None:
    """Mark the running context as part of a probe."""
    _entered.set((*(outer for outer in _entered.get() if not outer.settled), probe))


def leave_probe(probe: Probe) -> None:
    """Mark the running context as no longer part of a probe; garbage collection can run this in another context."""
    _entered.set(tuple(other for other in _entered.get() if other is not probe))


def entered_probes() -> tuple[Probe, ...]:
    """Return the probes that the running code belongs to, including settled ones and those of other breakers."""
    return _entered.get()


@contextmanager
def probe_step(probe: Probe | None) -> Generator[None]:
    """Run one step as part of a probe, if there is one; what follows the step is no longer part of it."""
    if probe is not None:
        enter_probe(probe)
    try:
        yield
    finally:
        if probe is not None:
            leave_probe(probe)
