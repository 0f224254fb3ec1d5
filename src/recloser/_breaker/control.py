"""Changes a breaker from outside its calls, by hand or with new settings, and waits until a call has a chance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel

from recloser._breaker.loop_bound import LoopEvent
from recloser._breaker.notify import deliver, wake
from recloser._core import checks
from recloser._core.machine import CLOSED, DISABLED, HALF_OPEN
from recloser._core.windows import NEVER

if TYPE_CHECKING:
    from recloser._breaker.engine import Engine
    from recloser._core.settings import Settings
    from recloser._core.states import Trigger


async def change_by_hand(
    engine: Engine, trigger: Trigger, reason: str | None, for_seconds: float | None = None
) -> None:
    """Make a transition by hand; cancelled, it changes nothing."""
    if reason is not None:
        reason = checks.one_line("reason", reason)
    await anyio.lowlevel.checkpoint_if_cancelled()
    with engine.loop_lock().held():
        transition = engine.transition(trigger, engine.now(), reason=reason, for_seconds=for_seconds)
    deliver(engine, engine.note(transition))


def adopt(engine: Engine, settings: Settings) -> None:
    """Switch to new settings.

    Raises:
        ValueError: The breaker's fleet does not support them; nothing has changed.
    """
    if engine.port is not None:
        engine.port.check(settings)
    engine.machine.reconfigure(settings, engine.now())
    engine.classify_by(settings)
    engine.refresh()
    wake(engine)


async def wait_until_ready(engine: Engine, timeout_seconds: float | None) -> bool:
    """Wait until a call has a chance, up to a timeout; return whether it has one. Always a checkpoint."""
    await anyio.lowlevel.checkpoint()
    with anyio.move_on_after(timeout_seconds):
        while True:
            engine.changed = changed = LoopEvent.here(engine.changed)  # before the check, so that no change is missed
            wait = seconds_until_ready(engine)
            if wait <= 0:
                break
            with anyio.move_on_after(wait):
                await changed.wait()
    return seconds_until_ready(engine) <= 0


def seconds_until_ready(engine: Engine) -> float:
    """Return the seconds until a call has a chance; 0 or less if it has one, infinity if only a change brings one."""
    machine = engine.machine
    if machine.state is CLOSED or machine.state is DISABLED or machine.settings.shadow:
        return 0.0
    if engine.port is not None and engine.port.is_asking:
        return NEVER  # until the fleet has answered
    now = engine.now()
    if machine.state is not HALF_OPEN:
        return machine.reopen_at - now
    if machine.leaks:
        engine.drain_leaks()
    engine.leave_dead_loop()
    episode = machine.episode
    if not machine.is_full(now) or engine.is_inside_probe(now):
        return 0.0
    if episode is None:
        return machine.reopen_at - now
    return episode.probes[0].admitted_at + episode.limit_seconds - now
