"""Bugs put into the real breaker on purpose: the schedules find each of them, so their success means something."""

from collections.abc import Callable, Coroutine
from typing import Any

import anyio.lowlevel
import pytest

from recloser import CircuitBreaker, Permit
from recloser._breaker.classify import Cancellations
from recloser._breaker.dispatch import Dispatcher
from recloser._breaker.engine import Engine
from recloser._breaker.loop_bound import LoopEvent, SemaphoreGate
from recloser._breaker.permits import Guard
from recloser._core.machine import BreakerMachine
from recloser._core.outcomes import Outcome
from recloser._core.tickets import Probe
from recloser.testing.explorer import Schedule, ScheduleError, explore
from tests.schedules.scenarios import calls, control_by_hand, streams

Scenario = Callable[[Schedule], Coroutine[Any, Any, None]]
SCHEDULES = 2_000


async def late_exit(guard: Guard, *how: Any) -> None:  # noqa: ANN401 - how the block ended
    await anyio.lowlevel.checkpoint()
    await exit_guard(guard, *how)


async def late_permit(breaker: CircuitBreaker) -> Permit:
    permit = await acquire(breaker)
    await anyio.lowlevel.checkpoint()
    return permit


exit_guard, acquire, enqueue = Guard.__aexit__, CircuitBreaker.acquire, Dispatcher.enqueue

BUGS: dict[str, tuple[Scenario, type, str, Callable[..., Any]]] = {
    "the generation is not checked": (
        calls,
        BreakerMachine,
        "is_current",
        lambda _, ticket: not (isinstance(ticket, Probe) and ticket.settled),
    ),
    "a probe never ends": (calls, BreakerMachine, "_release", lambda _, probe: setattr(probe, "settled", True)),
    "a permit is settled twice": (calls, Permit, "_let_go", lambda permit: permit.held),
    "a permit is given although none is free": (calls, SemaphoreGate, "take", lambda _: True),
    "a permit is given back after an await": (calls, Guard, "__aexit__", late_exit),
    "an await follows the taking of a permit": (
        calls,
        CircuitBreaker,
        "acquire",
        late_permit,
    ),
    "a dropped permit is not released": (calls, Engine, "lose", lambda *_: None),
    "a cancellation is a success": (calls, Cancellations, "classify", lambda *_: Outcome.SUCCESS),
    "a probe never times out": (calls, BreakerMachine, "_expire_probes", lambda *_: []),
    "waiting tasks are not woken": (control_by_hand, LoopEvent, "set", lambda _: None),
    "only the last event of a step is delivered": (
        streams,
        Dispatcher,
        "enqueue",
        lambda dispatcher, events: enqueue(dispatcher, events[-1:]),
    ),
}


@pytest.mark.parametrize("bug", BUGS)
def test_a_seeded_bug_is_found(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario, owner, name, broken = BUGS[bug]
    monkeypatch.setattr(owner, name, broken)
    with pytest.raises(ScheduleError):
        explore(scenario, schedules=SCHEDULES)
