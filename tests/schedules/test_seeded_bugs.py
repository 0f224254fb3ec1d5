"""Bugs put into the real breaker on purpose: the schedules find each of them, so their success means something."""

import __future__

import inspect
import textwrap
from collections.abc import Callable, Coroutine
from typing import Any

import anyio.lowlevel
import pytest

from recloser import CircuitBreaker, Permit
from recloser._breaker import control, decorate, watch
from recloser._breaker.classify import Cancellations
from recloser._breaker.dispatch import Dispatcher
from recloser._breaker.durations import Durations
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


BUGS_OF_THE_TIMED_PATH: dict[str, tuple[Scenario, Any, str, str, str]] = {
    "the decorator does not check the generation": (
        calls,
        decorate,
        "_protect_coroutine",
        "(watch := engine.watch) is None or watch.epoch is not epoch",
        "(watch := engine.watch) is None",
    ),
    "the end of a call does not check the generation": (
        calls,
        Engine,
        "call_succeeded",
        "watch is None or watch.epoch is not ticket",
        "watch is None",
    ),
    "a late call is measured": (calls, Engine, "settle", "if current and duration", "if duration"),
    "a late probe is measured": (
        calls,
        Engine,
        "_settle_probe",
        "    if current:\n        measure(",
        "    if True:\n        measure(",
    ),
    "the decorator reads the start of a call after the call": (
        calls,
        decorate,
        "_protect_coroutine",
        "now = read_clock()",
        "now = started = read_clock()",
    ),
    "a block reads the start of a call after the call": (
        calls,
        Engine,
        "call_succeeded",
        "now = self.now()\n",
        "now = started = self.now()\n",
    ),
    "the decorator does not show a slow success to the trip rule": (
        calls,
        decorate,
        "_protect_coroutine",
        "if seconds <= watch.slow_call_seconds and now < epoch.edge:",
        "if now < epoch.edge:",
    ),
    "a slow success of a block is not shown to the trip rule": (
        calls,
        Engine,
        "call_succeeded",
        "if seconds <= watch.slow_call_seconds and now < watch.epoch.edge:",
        "if now < watch.epoch.edge:",
    ),
    "the decorator shows no success that the trip rule asks for": (
        calls,
        decorate,
        "_protect_coroutine",
        "if seconds <= watch.slow_call_seconds and now < epoch.edge:",
        "if seconds <= watch.slow_call_seconds:",
    ),
    "a success of a block that the trip rule asks for is not shown": (
        calls,
        Engine,
        "call_succeeded",
        "if seconds <= watch.slow_call_seconds and now < watch.epoch.edge:",
        "if seconds <= watch.slow_call_seconds:",
    ),
    "the time of the reader is part of the duration": (calls, Permit, "resume", "self.started += now - paused_at", ""),
    "a failure is only counted although failures are reported": (
        calls,
        Engine,
        "_refresh",
        "self.classifier.outcome_by_type if is_silent else NO_OUTCOMES",
        "self.classifier.outcome_by_type",
    ),
    "a transition leaves what watches its generation": (
        calls,
        Engine,
        "_refresh",
        "self.watch = watch\n",
        "self.watch = watch or self.watch\n",
    ),
    "new settings leave what judged by the old ones": (control_by_hand, control, "adopt", "    engine.refresh()\n", ""),
    "a judged failure is counted as a success, too": (
        calls,
        decorate,
        "_protect_coroutine",
        "engine.settle(epoch, FAILURE, started)\n                    return result\n            if started",
        "engine.settle(epoch, FAILURE, started)\n            if started",
    ),
    "the decorator reports before it counts": (
        calls,
        decorate,
        "_protect_coroutine",
        "report(now, seconds if seconds > 0 else 0.0)",
        "epoch.successes -= 1; report(now, seconds); epoch.successes += 1",
    ),
    "the only listener is called in the middle of its own work": (
        calls,
        Dispatcher,
        "success_reporter",
        "if self._turn is None and not self._queue:",
        "if True:",
    ),
    "the only listener hears of a rejection in the middle of its own work": (
        calls,
        Dispatcher,
        "report",
        "(True, self.process) if self._turn is None else (False, self._turn)",
        "(True, self.process)",
    ),
    "the second of two who watch learns no success": (
        calls,
        watch,
        "_reporter",
        "if len(steps) < 2:",
        "if steps or not steps:",
    ),
    "finer histograms forget the coarser ones": (
        calls,
        Durations,
        "with_bounds",
        "self if self.bounds else None",
        "None",
    ),
    "a call whose start nobody has read lasts 0 s": (
        calls,
        Engine,
        "settle",
        "if started is not None else None",
        "if started is not None else now",
    ),
    "an expired probe is not measured": (
        calls,
        Engine,
        "note_expiry",
        "measure(self.dispatcher",
        "str(self.dispatcher",
    ),
}
"""Each replaces some text of a function: a scenario, the owner of the function, its name, the text and the bug."""


def with_bug(function: Any, sound: str, bug: str) -> Callable[..., Any]:  # noqa: ANN401 - any function
    """Returns a function with some of its text replaced."""
    source = textwrap.dedent(inspect.getsource(function))
    assert source.count(sound) == 1, f"not in the source, or not once: {sound}"
    code = compile(source.replace(sound, bug), "<bug>", "exec", flags=__future__.annotations.compiler_flag)
    namespace: dict[str, Any] = {}
    exec(code, function.__globals__, namespace)  # noqa: S102 - the library's own text
    broken: Callable[..., Any] = namespace[function.__name__]
    return broken


@pytest.mark.parametrize("bug", BUGS_OF_THE_TIMED_PATH)
def test_a_seeded_bug_of_the_timed_path_is_found(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario, owner, name, sound, broken = BUGS_OF_THE_TIMED_PATH[bug]
    monkeypatch.setattr(owner, name, with_bug(vars(owner)[name], sound, broken))
    with pytest.raises(ScheduleError):
        explore(scenario, schedules=SCHEDULES)


@pytest.mark.parametrize("bug", BUGS)
def test_a_seeded_bug_is_found(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario, owner, name, broken = BUGS[bug]
    monkeypatch.setattr(owner, name, broken)
    with pytest.raises(ScheduleError):
        explore(scenario, schedules=SCHEDULES)
