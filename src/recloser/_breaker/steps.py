"""The lock of the steps that change a breaker's state.

In one event loop nothing interleaves between two awaits, so a step needs no lock. But manual control, settings and
listeners may change in any thread. All steps that change a state, or the way that calls take, hold `STEP`: transitions,
the admission and the settlement of probes, and `Engine.refresh()`. One lock serves all breakers, since a step takes
microseconds and runs no user code, except for clocks when a registry changes settings. It can be taken again in the
same thread: a signal handler or a finaliser may run in the middle of a step.

Counting in a closed breaker takes no lock.
"""

from __future__ import annotations

import os
from threading import RLock

STEP = RLock()

if hasattr(os, "register_at_fork"):  # pragma: no branch - not on Windows
    # A child never inherits the lock while another thread holds it.
    os.register_at_fork(before=STEP.acquire, after_in_parent=STEP.release, after_in_child=STEP.release)
