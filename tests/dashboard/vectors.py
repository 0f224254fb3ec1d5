"""Renews the entries in vectors.json from real breakers: `python -m tests.dashboard.vectors`.

The file has what a dashboard sends about breakers in every state and for every cause, and beside it the texts that both
clients have to make of it. The entries come from the scenes below. The texts are written by hand: a new scene gets
empty ones. The other parts of the file are made by hand too and stay as they are.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio.lowlevel
import time_machine

from recloser import (
    CircuitBreaker,
    ConsecutiveFailures,
    CountWindow,
    ExponentialBackoff,
    FailureCount,
    FailureRate,
    SlowCallRate,
    TimeWindow,
)
from recloser.dashboard._sample import BreakerEntry, dated, read
from recloser.testing import ManualClock
from tests.fleet.breakers import kit
from tests.fleet.breakers.virtual_time import VirtualLoop

FILE = Path(__file__).with_name("vectors.json")
NOON = datetime(2030, 1, 2, 12, tzinfo=UTC)

Scene = Callable[[], AsyncGenerator[CircuitBreaker]]

SCENES: dict[str, Scene] = {}
"""By their titles; each yields a breaker, which stays in its state until the generator goes on."""


class DownError(Exception):
    """What a dependency raises that is down."""


class Stage:
    """A breaker on a clock of its own, and what happens to it."""

    def __init__(self, **settings: object) -> None:
        self.clock = ManualClock()
        self.breaker = CircuitBreaker("payments", clock=self.clock, **settings)

    async def fail(self, times: int = 1, message: str = "no route", seconds: float = 0.0) -> None:
        for _ in range(times):
            with suppress(DownError):
                await self.breaker.call(self._work, seconds, DownError(message) if message else DownError())

    async def succeed(self, times: int = 1, seconds: float = 0.0) -> None:
        for _ in range(times):
            await self.breaker.call(self._work, seconds, None)

    def after(self, seconds: float) -> CircuitBreaker:
        self.clock.advance(seconds)
        return self.breaker

    async def _work(self, seconds: float, error: Exception | None) -> None:
        self.clock.advance(seconds)
        if error is not None:
            raise error


def scene(function: Scene) -> Scene:
    SCENES[function.__name__.replace("_", " ")] = function
    return function


# Closed


@scene
async def closed_since_its_creation() -> AsyncGenerator[CircuitBreaker]:
    yield Stage().after(30)


@scene
async def closed_with_failures() -> AsyncGenerator[CircuitBreaker]:
    stage = Stage()
    await stage.fail(2)
    yield stage.after(3_700)


@scene
async def closed_with_one_failure_and_a_rate() -> AsyncGenerator[CircuitBreaker]:
    stage = Stage(trip_when=FailureRate(0.5, window=CountWindow(50), minimum_calls=3))
    await stage.succeed(2)
    await stage.fail()
    yield stage.after(2)


@scene
async def closed_with_two_rates() -> AsyncGenerator[CircuitBreaker]:
    rules = FailureRate(0.5, window=TimeWindow(60), minimum_calls=4) | SlowCallRate(
        0.9, slow_call_seconds=0.5, minimum_calls=4
    )
    stage = Stage(trip_when=rules)
    await stage.succeed(4, seconds=0.25)
    await stage.succeed(2, seconds=0.75)
    await stage.fail(2)
    yield stage.breaker


@scene
async def closed_by_a_probe() -> AsyncGenerator[CircuitBreaker]:
    stage = Stage(failure_threshold=1)
    await stage.fail()
    stage.clock.advance(60)
    await stage.succeed()
    yield stage.after(5)


@scene
async def closed_by_several_probes() -> AsyncGenerator[CircuitBreaker]:
    stage = Stage(failure_threshold=1, success_threshold=2)
    await stage.fail()
    stage.clock.advance(60)
    await stage.succeed(2)
    yield stage.breaker


@scene
async def closed_by_a_probe_that_had_run_out_of_time() -> AsyncGenerator[CircuitBreaker]:
    stage = Stage(failure_threshold=1, reset_timeout_seconds=60, probe_timeout_seconds=30)
    await stage.fail()
    permit = await stage.after(60).acquire()
    await stage.after(30).try_acquire()
    stage.after(5)
    permit.succeed()
    yield stage.after(10)


@scene
async def closed_by_hand() -> AsyncGenerator[CircuitBreaker]:
    stage = Stage()
    stage.breaker.reset()
    yield stage.breaker


@scene
async def closed_by_hand_for_a_reason() -> AsyncGenerator[CircuitBreaker]:
    stage = Stage(failure_threshold=1)
    await stage.fail()
    stage.breaker.reset("the provider is back", author="ann")
    yield stage.breaker


# Open


@scene
async def opened_by_one_failure() -> AsyncGenerator[CircuitBreaker]:
    stage = Stage(failure_threshold=1)
    await stage.fail()
    yield stage.after(20)


@scene
async def opened_by_a_run_of_failures() -> AsyncGenerator[CircuitBreaker]:
    stage = Stage(trip_when=ConsecutiveFailures(3, within_seconds=10), reset_timeout_seconds=5_400)
    await stage.fail(3)
    yield stage.after(65)


@scene
async def opened_by_failures_in_a_time_window() -> AsyncGenerator[CircuitBreaker]:
    stage = Stage(trip_when=FailureCount(3, window=TimeWindow(0.5)))
    await stage.fail(3)
    yield stage.breaker


@scene
async def opened_by_failures_in_a_count_window() -> AsyncGenerator[CircuitBreaker]:
    stage = Stage(trip_when=FailureCount(2, window=CountWindow(10)))
    await stage.succeed()
    await stage.fail(2)
    yield stage.breaker


@scene
async def opened_by_the_failure_rate() -> AsyncGenerator[CircuitBreaker]:
    stage = Stage(trip_when=FailureRate(0.625, window=CountWindow(10), minimum_calls=3))
    await stage.succeed()
    await stage.fail(2)
    yield stage.breaker


@scene
async def opened_by_the_slow_call_rate() -> AsyncGenerator[CircuitBreaker]:
    rule = SlowCallRate(0.5, slow_call_seconds=0.25, window=TimeWindow(60), minimum_calls=4)
    stage = Stage(trip_when=rule, reset_timeout_seconds=30)
    await stage.succeed(2)
    await stage.succeed(2, seconds=0.3)
    yield stage.breaker


@scene
async def opened_by_the_second_of_two_rules() -> AsyncGenerator[CircuitBreaker]:
    stage = Stage(trip_when=ConsecutiveFailures(9) | FailureCount(2, window=CountWindow(5)))
    await stage.fail(2, message="")
    yield stage.breaker


@scene
async def open_with_the_reset_timeout_over() -> AsyncGenerator[CircuitBreaker]:
    stage = Stage(failure_threshold=1)
    await stage.fail()
    yield stage.after(61)


@scene
async def open_again_after_failed_probes() -> AsyncGenerator[CircuitBreaker]:
    stage = Stage(failure_threshold=1, reset_timeout_seconds=ExponentialBackoff(initial_seconds=10, jitter=0))
    await stage.fail()
    for seconds in (10, 20):
        stage.clock.advance(seconds)
        await stage.fail(message="still down")
    yield stage.after(1)


@scene
async def open_again_after_a_probe_that_did_not_end() -> AsyncGenerator[CircuitBreaker]:
    stage = Stage(failure_threshold=1, reset_timeout_seconds=10, probe_timeout_seconds=2.5)
    await stage.fail()
    stage.clock.advance(10)
    permit = await stage.breaker.acquire()
    stage.clock.advance(4)
    assert await stage.breaker.try_acquire() is None
    permit.ignore()
    yield stage.breaker


@scene
async def open_in_shadow_mode() -> AsyncGenerator[CircuitBreaker]:
    stage = Stage(failure_threshold=1, shadow=True)
    await stage.fail(3)
    await stage.succeed()
    yield stage.breaker


@scene
async def forced_open_in_shadow_mode() -> AsyncGenerator[CircuitBreaker]:
    stage = Stage(shadow=True)
    stage.breaker.force_open("a test")
    yield stage.breaker


# Half open


@scene
async def half_open_with_a_probe() -> AsyncGenerator[CircuitBreaker]:
    stage = Stage(failure_threshold=1)
    await stage.fail()
    stage.clock.advance(60)
    permit = await stage.breaker.acquire()
    yield stage.after(0.8)
    permit.ignore()


@scene
async def half_open_with_several_probes() -> AsyncGenerator[CircuitBreaker]:
    stage = Stage(failure_threshold=1, max_probes=2, success_threshold=3)
    await stage.fail()
    stage.clock.advance(60)
    await stage.succeed()
    permits = [await stage.breaker.acquire() for _ in range(2)]
    yield stage.breaker
    for permit in permits:
        permit.ignore()


# By hand


@scene
async def forced_open_until_reset() -> AsyncGenerator[CircuitBreaker]:
    stage = Stage()
    stage.breaker.force_open("the provider moves", author="ann")
    yield stage.after(200_000)


@scene
async def forced_open_for_some_time() -> AsyncGenerator[CircuitBreaker]:
    stage = Stage()
    stage.breaker.force_open("a load test", for_seconds=90)
    yield stage.after(30)


@scene
async def forced_open_and_over() -> AsyncGenerator[CircuitBreaker]:
    stage = Stage()
    stage.breaker.force_open("a load test", for_seconds=0.5)
    yield stage.after(1)


@scene
async def disabled() -> AsyncGenerator[CircuitBreaker]:
    stage = Stage()
    stage.breaker.disable()
    yield stage.breaker


@scene
async def disabled_for_a_reason_with_failures() -> AsyncGenerator[CircuitBreaker]:
    stage = Stage(trip_when=FailureRate(0.5, minimum_calls=2))
    stage.breaker.disable("a false alarm", author="ann")
    await stage.fail(4)
    yield stage.breaker


@scene
async def disabled_for_some_time() -> AsyncGenerator[CircuitBreaker]:
    stage = Stage()
    stage.breaker.disable("a load test", for_seconds=90)
    yield stage.after(30)


@scene
async def disabled_and_over() -> AsyncGenerator[CircuitBreaker]:
    stage = Stage()
    stage.breaker.disable(for_seconds=0.5)
    yield stage.after(1)


@scene
async def closed_after_a_timed_disable() -> AsyncGenerator[CircuitBreaker]:
    stage = Stage()
    stage.breaker.disable(for_seconds=1)
    breaker = stage.after(2)
    await breaker.call(anyio.lowlevel.checkpoint)
    yield breaker


# In a fleet


@scene
async def opened_by_the_fleet() -> AsyncGenerator[CircuitBreaker]:
    async with kit.fleet_of(3) as processes:
        await kit.open_all(processes)
        yield processes[2].breaker


@scene
async def half_open_while_another_process_runs_the_probe() -> AsyncGenerator[CircuitBreaker]:
    async with kit.fleet_of(3) as processes:
        permit = await kit.make_probing(processes)
        yield processes[2].breaker
        permit.ignore()


@scene
async def half_open_with_a_probe_for_the_fleet() -> AsyncGenerator[CircuitBreaker]:
    async with kit.fleet_of(3) as processes:
        permit = await kit.make_probing(processes)
        yield processes[0].breaker
        permit.ignore()


@scene
async def closed_by_the_fleet() -> AsyncGenerator[CircuitBreaker]:
    async with kit.fleet_of(3) as processes:
        permit = await kit.make_probing(processes)
        permit.succeed()
        await kit.settle()
        yield processes[2].breaker


# The file


def play() -> dict[str, tuple[BreakerEntry, str]]:
    """Plays all scenes; returns the entry of each, and the cause as the breaker itself words it."""
    with time_machine.travel(NOON, tick=False), asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return {title: runner.run(_play(play_scene)) for title, play_scene in SCENES.items()}


async def _play(play_scene: Scene) -> tuple[BreakerEntry, str]:
    async with aclosing(play_scene()) as breakers:
        breaker = await anext(breakers)
        entry, cause = _rounded(dated(read(breaker, error_messages=True))), breaker.snapshot().cause
        with suppress(StopAsyncIteration):
            await anext(breakers)
    return entry, "" if cause is None else str(cause)


def _rounded(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Returns JSON whose numbers are the same on every machine."""
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    return round(value, 4) if isinstance(value, float) else value


def renew() -> None:
    """Writes the entries of all scenes into the file."""
    vectors = json.loads(FILE.read_text(encoding="utf-8"))
    known = {vector["title"]: vector for vector in vectors["breakers"]}
    nothing = dict.fromkeys(["time_in_state", "why", "next_step", "waited", "mode", "outage"])
    vectors["timestamp"] = NOON.isoformat()
    vectors["breakers"] = [
        {"seconds_later": 0.0, "expected": nothing, **known.get(title, {}), "title": title, "entry": entry}
        for title, (entry, _) in play().items()
    ]
    FILE.write_text(_layout(vectors), encoding="utf-8")


def _layout(vectors: dict[str, Any]) -> str:
    """Returns the file's text: a line for each text that is expected, and for what it is made of."""
    parts = []
    for key, part in vectors.items():
        if key == "breakers":
            members = ("title", "entry", "seconds_later", "expected")
            lines = [",\n   ".join(f"{_json(name)}: {_json(each[name])}" for name in members) for each in part]
            parts.append(f"{_json(key)}: [\n  {{" + "},\n\n  {".join(lines) + "}\n ]")
        elif isinstance(part, list):
            parts.append(f"{_json(key)}: [\n  " + ",\n  ".join(map(_json, part)) + "\n ]")
        else:
            parts.append(f"{_json(key)}: {_json(part)}")
    return "{\n " + ",\n\n ".join(parts) + "\n}\n"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


if __name__ == "__main__":
    renew()
