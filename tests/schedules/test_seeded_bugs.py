"""Bugs put into the real breaker on purpose: the schedules find each of them, so their success means something."""

import __future__

import inspect
import textwrap
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import anyio.lowlevel
import pytest

from recloser import CircuitBreaker, Permit
from recloser._breaker import breaker, control, decorate, engine, permits, watch
from recloser._breaker.cut_offs import CutOffs
from recloser._breaker.dispatch import Dispatcher
from recloser._breaker.durations import Durations
from recloser._breaker.engine import Engine
from recloser._breaker.loop_bound import LoopEvent, SemaphoreGate
from recloser._breaker.permits import Guard
from recloser._breaker.streams import MeasuredStream
from recloser._breaker.waits import Waits
from recloser._core.defaults import slow_call_limit
from recloser._core.machine import BreakerMachine
from recloser._core.outcomes import Outcome
from recloser._core.tickets import UNCOUNTED, Probe
from recloser._core.usual import UsualDuration
from recloser._core.windows import NEVER
from recloser.testing.explorer import Schedule, ScheduleError, explore
from tests.schedules.plan import RULES, Plan
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


exit_guard, acquire, enqueue, end_wait = Guard.__aexit__, CircuitBreaker.acquire, Dispatcher.enqueue, Waits.end


async def short_probes(schedule: Schedule) -> None:
    """Calls through a breaker whose probes often run out of time."""
    plan = replace(Plan.draw(schedule.rng), success_threshold=1, probe_timeout_seconds=0.25)
    await calls(schedule, plan)


BUGS: dict[str, tuple[Scenario, Any, str, Any]] = {
    "the generation is not checked": (
        calls,
        BreakerMachine,
        "is_current",
        lambda _, ticket: not (isinstance(ticket, Probe) and ticket.settled),
    ),
    "a probe never ends": (calls, BreakerMachine, "_release", lambda _, probe: setattr(probe, "settled", True)),
    "a permit is settled twice": (calls, Permit, "let_go", lambda permit: permit.held),
    "a permit is given although none is free": (calls, SemaphoreGate, "take", lambda _: True),
    "a permit is given back after an await": (calls, Guard, "__aexit__", late_exit),
    "an await follows the taking of a permit": (
        calls,
        CircuitBreaker,
        "acquire",
        late_permit,
    ),
    "a dropped permit is not released": (calls, Engine, "lose", lambda *_: None),
    "a cancellation is a success": (calls, CutOffs, "classify", lambda *_: Outcome.SUCCESS),
    "each call that is cut off is overdue": (calls, UsualDuration, "is_overdue", lambda *_, **__: True),
    "no call that is cut off is overdue": (calls, UsualDuration, "is_overdue", lambda *_, **__: False),
    "a deadline counts for each call that it ends": (calls, CutOffs, "_is_known", lambda *_: False),
    "starts are not read after a call was cut off": (calls, engine, "time_starts", lambda *_: None),
    "the wait for an item includes the reader's time": (
        calls,
        Waits,
        "begin",
        lambda waits: waits._engine.now(),  # noqa: SLF001 - it leaves out what the method does to its wait
    ),
    "no call is a sample": (calls, UsualDuration, "learn", lambda *_: None),
    "a later item that is slow teaches nothing": (calls, UsualDuration, "learn_more", lambda *_: None),
    "a probe never times out": (calls, BreakerMachine, "expire", lambda *_: None),
    "an item settles no probe": (calls, Permit, "progress", lambda _: None),
    "the rest of a probe's call counts as nothing": (calls, Permit, "last_ticket", UNCOUNTED),
    "a probe that ran out of time never passes": (short_probes, BreakerMachine, "_pass_late", lambda *_: None),
    "waiting tasks are not woken": (control_by_hand, LoopEvent, "set", lambda _: None),
    "only the last event of a step is delivered": (
        streams,
        Dispatcher,
        "enqueue",
        lambda dispatcher, events: enqueue(dispatcher, events[-1:]),
    ),
}


Bug = tuple[Scenario, Any, str, str, str]

SLOW_RULES = [rule for rule in RULES if slow_call_limit(rule) < NEVER]


async def slow_calls(schedule: Schedule) -> None:
    """Calls through a breaker that slow calls trip, whatever else does."""
    plan = replace(Plan.draw(schedule.rng), rule=schedule.rng.choice(SLOW_RULES))
    await calls(schedule, plan)


IN_THE_DECORATOR = (decorate, "_protect_coroutine")
IN_A_CALL = (breaker, "returned")
IN_A_BLOCK = (permits, "succeeded")

BUGS_OF_THE_TIMED_PATH: dict[str, Bug] = {
    "the decorator does not check the generation": (
        calls,
        *IN_THE_DECORATOR,
        "(watch := engine.watch) is None or watch.epoch is not epoch",
        "(watch := engine.watch) is None",
    ),
    "a call does not check the generation": (
        calls,
        *IN_A_CALL,
        "watch is None or watch.epoch is not ticket",
        "watch is None",
    ),
    "a block does not check the generation": (
        calls,
        *IN_A_BLOCK,
        "watch is None or watch.epoch is not ticket",
        "watch is None",
    ),
    "the decorator reads the start of a call after the call": (
        calls,
        *IN_THE_DECORATOR,
        "(now := read_clock()) - started)",
        "(now := read_clock()) - (started := now))",
    ),
    "a call reads its start after the call": (
        calls,
        *IN_A_CALL,
        "(now := engine.now()) - started)",
        "(now := engine.now()) - (started := now))",
    ),
    "a block reads its start after the block": (
        calls,
        *IN_A_BLOCK,
        "(now := engine.now()) - started)",
        "(now := engine.now()) - (started := now))",
    ),
    "the decorator does not show a slow success to the trip rule": (
        slow_calls,
        *IN_THE_DECORATOR,
        "> watch.limit or",
        "> 1e9 or",
    ),
    "a slow success of a call is not shown to the trip rule": (slow_calls, *IN_A_CALL, "> watch.limit or", "> 1e9 or"),
    "a slow success of a block is not shown to the trip rule": (
        slow_calls,
        *IN_A_BLOCK,
        "> watch.limit or",
        "> 1e9 or",
    ),
    "the decorator shows no success that the trip rule asks for": (
        slow_calls,
        *IN_THE_DECORATOR,
        " or now >= epoch.edge",
        "",
    ),
    "a success of a call that the trip rule asks for is not shown": (
        slow_calls,
        *IN_A_CALL,
        " or now >= ticket.edge",
        "",
    ),
    "a success of a block that the trip rule asks for is not shown": (
        slow_calls,
        *IN_A_BLOCK,
        " or now >= ticket.edge",
        "",
    ),
    "the decorator counts a judged failure as a success, too": (
        calls,
        *IN_THE_DECORATOR,
        "return settle_by_predicate(engine, epoch, result, judgement",
        "settle_by_predicate(engine, epoch, result, judgement",
    ),
    "a judged failure of a call is counted as a success, too": (
        calls,
        *IN_A_CALL,
        "return settle_by_predicate(",
        "settle_by_predicate(",
    ),
    "the decorator reports before it counts": (
        calls,
        *IN_THE_DECORATOR,
        "watch.report(now, seconds if seconds > 0 else 0.0)",
        "epoch.successes -= 1; watch.report(now, seconds); epoch.successes += 1",
    ),
    "a call is reported before it is counted": (
        calls,
        *IN_A_CALL,
        "watch.report(now, seconds if seconds > 0 else 0.0)",
        "ticket.successes -= 1; watch.report(now, seconds); ticket.successes += 1",
    ),
    "a late call is measured": (calls, Engine, "settle", "if current and duration", "if duration"),
    "a late probe is measured": (
        calls,
        Engine,
        "_settle_probe",
        "if current and end.duration is not None",
        "if end.duration is not None",
    ),
    "an expired probe is not measured": (
        calls,
        Engine,
        "note_expiry",
        "measure(self.dispatcher",
        "str(self.dispatcher",
    ),
    "a call whose start nobody has read lasts 0 s": (
        calls,
        Engine,
        "settle",
        "if started is not None else None",
        "if started is not None else now",
    ),
    "the time of the reader is part of the duration": (
        calls,
        MeasuredStream,
        "resume",
        "self._started += self._waits.begin() - paused_at",
        "self._waits.begin()",
    ),
    "a failure is only counted although failures are reported": (
        calls,
        Engine,
        "_refresh",
        "NO_OUTCOMES if watched else self.classifier.outcome_by_type",
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
    "the only listener is called in the middle of its own work": (
        calls,
        Dispatcher,
        "success_reporter",
        "if self._turn is None and self._solo is solo and not self.queue and not source.queue:",
        "if True:",
    ),
    "the only listener hears of a rejection in the middle of its own work": (
        calls,
        Dispatcher,
        "report",
        "if self._turn is None:",
        "if True:",
    ),
    "the second of two who watch learns no success": (
        calls,
        watch,
        "_reporter",
        "reduce(_both, steps)",
        "steps[0]",
    ),
    "finer histograms forget the coarser ones": (
        calls,
        Durations,
        "_set",
        "(*self.chain, Histograms(union))",
        "(Histograms(union),)",
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
