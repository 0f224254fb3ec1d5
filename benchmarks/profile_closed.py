"""Shows what one call executes, function by function: bytecode instructions and calls into C.

The counts don't depend on the machine's load, so they distinguish a change of the code from noise. They don't show what
an instruction costs.
"""

import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any

from benchmarks import own
from benchmarks.contender import LONG_SECONDS, NEVER, TRIP_AFTER, Dependency, Work, trip, work
from benchmarks.report import table

Step = Callable[[], Awaitable[object]]

SETTLED_CALLS = 50
"""The calls before the counted one, which fill the caches."""


class _Counts:
    """A trace and profile function that counts what runs."""

    def __init__(self) -> None:
        self.instructions: Counter[str] = Counter()
        self.into_c: Counter[str] = Counter()

    def trace(self, frame: FrameType, event: str, _argument: Any) -> "Callable[..., Any]":  # noqa: ANN401 - as sys.settrace has it
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        if event == "opcode":
            self.instructions[frame.f_code.co_qualname] += 1
        return self.trace

    def profile(self, frame: FrameType, event: str, argument: Any) -> None:  # noqa: ANN401 - as sys.setprofile has it
        if event == "c_call" and argument not in (sys.settrace, sys.setprofile):
            self.into_c[f"{frame.f_code.co_qualname} -> {argument.__qualname__}"] += 1


async def report() -> str:
    """Returns a table for each path, the hand-written breaker first."""
    parts = []
    for what, step in await _paths():
        for _ in range(SETTLED_CALLS):
            await step()
        counts = await _count(step)
        rows = [(name, str(number)) for name, number in counts.instructions.items()]
        rows.append(("all", str(counts.instructions.total())))
        rows += [(name, f"C: {number}") for name, number in counts.into_c.items()]
        parts.append(table((what, "instructions"), rows))
    return "\n\n".join(parts)


async def _count(step: Step) -> _Counts:
    counts = _Counts()
    sys.setprofile(counts.profile)
    sys.settrace(counts.trace)
    try:
        await step()
    finally:
        sys.settrace(None)
        sys.setprofile(None)
    return counts


async def _paths() -> list[tuple[str, Step]]:
    called = own.breaker("call")
    guarded = own.breaker("guard")
    open_dependency = Dependency()
    tripped = own.RECLOSER.make("open", failure_threshold=TRIP_AFTER, reset_timeout_seconds=LONG_SECONDS)
    rejecting = tripped(open_dependency.function())
    await trip(own.RECLOSER, rejecting, open_dependency)

    async def through_call() -> int:
        return await called.call(work, 1)

    async def through_guard() -> int:
        async with guarded.guard():
            return await work(1)

    async def rejected() -> None:
        try:
            await rejecting(1)
        except own.RECLOSER.rejection:
            return

    floor = own.FLOOR.make("floor", failure_threshold=NEVER, reset_timeout_seconds=LONG_SECONDS)
    return [
        ("floor, decorator", _one(floor(work))),
        ("recloser, decorator", _one(own.breaker("decorator")(work))),
        ("recloser, `call`", through_call),
        ("recloser, `guard()`", through_guard),
        ("recloser, count window 100", _one(own.breaker("count window", trip_when=own.rate(own.COUNT_WINDOW))(work))),
        (
            "recloser, time window of 10 buckets",
            _one(own.breaker("time window", trip_when=own.rate(own.TIME_WINDOW))(work)),
        ),
        (
            "recloser, slow calls in a count window",
            _one(own.breaker("slow calls", trip_when=own.slow(own.COUNT_WINDOW))(work)),
        ),
        ("recloser, rejected", rejected),
        ("recloser, `try_acquire` -> None", tripped.try_acquire),
    ]


def _one(protected: Work) -> Step:
    async def step() -> int:
        return await protected(1)

    return step
