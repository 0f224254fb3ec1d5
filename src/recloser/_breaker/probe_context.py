"""Which probes the running code belongs to.

A protected function can call another one of the same breaker. While the breaker is half-open, the inner call would find
its permit taken by the outer one and be rejected; the rejection would fail the outer call, and no probe could ever
succeed. So a call from inside a running probe is a part of that probe: it goes through, and is not counted by itself.

A context variable tells what belongs to a probe. The tasks that the probe starts inherit it, and so do anyio's worker
threads. Only probes set it. Where a call is settled before its caller goes on, nobody resets it: a settled probe has no
effect any more. Where that is not so (a stream between two items, a thread that outlives its caller) it is set for one
step at a time.
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
    """Note that what this context does from now on belongs to a probe."""
    _entered.set((*(outer for outer in _entered.get() if not outer.settled), probe))


def entered_probes() -> tuple[Probe, ...]:
    """Return the probes that the running code belongs to, those of other breakers and settled ones too."""
    return _entered.get()


@contextmanager
def probe_step(probe: Probe | None) -> Generator[None]:
    """Run one step as a part of a probe, if there is one. What comes after the step belongs to the caller."""
    if probe is not None:
        enter_probe(probe)
    try:
        yield
    finally:
        entered = _entered.get()  # by another context, if the step is garbage that is collected there
        if probe in entered:
            _entered.set(tuple(other for other in entered if other is not probe))
