"""Changes a breaker from outside its calls, by hand or with new settings, and tells when a call has a chance.

Manual control works in any thread, with and without an event loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio

from recloser._breaker.loop_bound import LoopEvent, is_gone
from recloser._breaker.notify import deliver, enqueue, wake
from recloser._breaker.steps import STEP
from recloser._core import checks
from recloser._core.machine import CLOSED, DISABLED, HALF_OPEN
from recloser._core.windows import NEVER

if TYPE_CHECKING:
    from recloser._breaker.engine import Engine
    from recloser._breaker.records import Record
    from recloser._core.events import Event
    from recloser._core.settings import Settings
    from recloser._core.states import Trigger


def change_by_hand(
    engine: Engine, trigger: Trigger, reason: str | None, author: str, for_seconds: float | None = None
) -> None:
    """Make a transition by hand.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument is out of range.
    """
    details = {
        "reason": None if reason is None else checks.one_line("reason", reason) or None,
        "author": checks.one_line("author", author) or None,
        "for_seconds": None if for_seconds is None else checks.seconds("for_seconds", for_seconds),
    }
    now = engine.now()  # a clock is user code
    with STEP:
        events: list[Event | Record] = [engine.note(engine.transition(trigger, now, **details))]
        enqueue(engine, events)
        engine.refresh()
    deliver(engine, events)


def given_reason(reason: object) -> str:
    """Return the reason for an action that needs one.

    Raises:
        TypeError: It is not a string.
        ValueError: It is empty.
    """
    text = checks.one_line("reason", reason)
    if not text:
        raise ValueError(f"reason must say why, for whoever finds the breaker open, not {reason!r}")
    return text


def reconfigure(engine: Engine, settings: dict[str, Any]) -> None:
    """Change some settings.

    Raises:
        TypeError: A setting is unknown or has the wrong type.
        ValueError: A setting is out of range, or the breaker's fleet does not support it; nothing has changed.
    """
    now = engine.now()
    with STEP:
        adopt(engine, engine.machine.settings.changed(settings), now)


def adopt(engine: Engine, settings: Settings, now: float) -> None:
    """Switch to new settings, holding `STEP`.

    Raises:
        ValueError: The breaker's fleet does not support them; nothing has changed.
    """
    if engine.port is not None:
        engine.port.check(settings)
    engine.machine.reconfigure(settings, now)
    engine.classify_by(settings)
    engine.refresh()
    wake(engine)


async def wait_until_ready(engine: Engine, timeout_seconds: float | None) -> bool:
    """Wait until a call has a chance, up to a timeout; return whether it has one. Always a checkpoint."""
    from anyio.lowlevel import checkpoint  # noqa: PLC0415 - a closed breaker does not need it

    if timeout_seconds is not None:
        timeout_seconds = checks.seconds("timeout_seconds", timeout_seconds, zero=True)
    await checkpoint()
    with anyio.move_on_after(timeout_seconds):
        while await _next_change(engine):
            pass
    return seconds_until_ready(engine) <= 0


async def _next_change(engine: Engine) -> bool:
    """Wait until the breaker changes, or for as long as it says; return False at once if a call has a chance."""
    changed = LoopEvent()
    with STEP:
        if engine.waiting is None:
            engine.waiting = {}
    engine.waiting[changed] = None  # before the check, so that no change is missed
    try:
        wait = seconds_until_ready(engine)
        if wait <= 0:
            return False
        with anyio.move_on_after(wait):
            await changed.wait()
        return True
    finally:
        engine.waiting.pop(changed, None)


def seconds_until_ready(engine: Engine) -> float:
    """Return the seconds until a call has a chance; 0 or less if it has one, infinity if only a change brings one.

    Changes nothing, and works in any thread.
    """
    machine = engine.machine
    if machine.state is CLOSED or machine.state is DISABLED or machine.settings.shadow:
        return 0.0
    if engine.port is not None and engine.port.is_asking:
        return NEVER  # until the fleet has answered
    now = engine.now()
    episode = machine.episode
    if machine.state is not HALF_OPEN or episode is None:  # without an episode, another process runs the probe
        return machine.reopen_at - now
    running = [probe for probe in tuple(episode.probes) if probe not in machine.leaks and not is_gone(probe.loop)]
    if len(running) < episode.settings.max_probes or engine.is_inside_probe(now):
        return 0.0
    return running[0].admitted_at + episode.limit_seconds - now
