"""Plays steps: makes the calls of the script, reads health, and compares both with what the script expects."""

from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from functools import partial
from itertools import groupby

import anyio
from mcp import Client

from demos.mcp.client import call_tool, read_health
from demos.mcp.dependencies import BREAKERS, Arrival, Dependencies
from demos.mcp.facts import Ask, Exchange, Health, Kind, Probe, Report, Step
from recloser import CircuitState

__all__ = ["DemoError", "Director"]

_ERRORS = {Kind.ERROR, Kind.REJECTED}


class DemoError(RuntimeError):
    """The demo can't go on, because something that it waits for does not happen."""


class Director:
    """Plays one step after the other.

    Args:
        client: Calls the server.
        dependencies: What the server calls.
    """

    def __init__(self, client: Client, dependencies: Dependencies) -> None:
        self._client = client
        self._dependencies = dependencies

    async def health(self) -> Health:
        """Read the current health of the server's breakers."""
        return await read_health(self._client)

    async def play(self, step: Step) -> Report:
        """Make the calls of a step.

        Returns:
            The outcome, and what is wrong with it.
        """
        before = await self.health()
        for name in step.breaks:
            self._dependencies.fail(name)
        began = self._dependencies.reached(before)
        problems: list[str] = []
        exchanges = [await self._ask(ask, problems) for ask in step.asks]
        after = await self.health()
        reached = self._dependencies.reached(after) - began
        problems += _differences(before, after, step.states)
        problems += _miscounts(reached, step.reach)
        return Report(tuple(exchanges), before, after, reached, step.breaks, tuple(problems))

    async def play_probe(self, probe: Probe) -> tuple[Report, Report]:
        """Hold one call of each breaker, which is its probe, and make other calls meanwhile.

        Returns:
            The outcome while the probes were held, and the outcome after they had ended.

        Raises:
            DemoError: A probe does not reach its dependency.
        """
        before = await self.health()
        began = self._dependencies.reached(before)
        answers: dict[str, Exchange] = {}
        problems: list[str] = []
        exchanges, during = list[Exchange](), before

        async def ask(name: str) -> None:
            answers[name] = await self._ask(probe.held[name], problems)

        async with anyio.create_task_group() as calls, AsyncExitStack() as held:
            for name in probe.held:
                half_open = partial(self._is_half_open, BREAKERS[name])
                arrived = await held.enter_async_context(self._dependencies.holding(name, half_open))
                calls.start_soon(ask, name)
                await _until(arrived, name)
            exchanges = [await self._ask(ask, problems) for ask in probe.meanwhile]
            during = await self.health()
        after = await self.health()
        breakers = [BREAKERS[name] for name in probe.held]
        waiting = [Exchange(ask, note="let through, and on its way") for ask in probe.held.values()]
        problems += _differences(before, during, dict.fromkeys(breakers, CircuitState.HALF_OPEN.value))
        first = Report((*waiting, *exchanges), before, during, None, problems=tuple(problems))
        reached = self._dependencies.reached(after) - began
        wrong = [
            *_differences(during, after, dict.fromkeys(breakers, CircuitState.CLOSED.value)),
            *_miscounts(reached, dict.fromkeys(probe.held, 1)),
            *_extra_probes(before, after, breakers),
        ]
        return first, Report(tuple(answers[name] for name in probe.held), during, after, reached, problems=tuple(wrong))

    async def _is_half_open(self, breaker: str) -> bool:
        return (await self.health())[breaker].state == CircuitState.HALF_OPEN

    async def _ask(self, ask: Ask, problems: list[str]) -> Exchange:
        answers: list[str] = []
        for _ in range(ask.times):
            is_error, text = await call_tool(self._client, ask.tool, ask.arguments)
            answers.append(text)
            if is_error != (ask.kind in _ERRORS) or not text.startswith(ask.begins):
                problems.append(f"{ask.tool} answered {text!r}, not {ask.begins!r}.")
        return Exchange(ask, tuple((text, len(list(same))) for text, same in groupby(answers)))


async def _until(arrived: Arrival, name: str) -> None:
    try:
        await arrived()
    except TimeoutError:
        message = f"the probe did not reach the dependency {name}"
        raise DemoError(message) from None


def _differences(before: Health, after: Health, changes: dict[str, str]) -> Iterator[str]:
    """Compare states with those before and with the expected changes."""
    for name, breaker in after.items():
        expected = changes.get(name, before[name].state)
        if breaker.state != expected:
            yield f"Health reports {name} as {breaker.state}, not {expected}."


def _miscounts(reached: Counter[str], expected: dict[str, int]) -> Iterator[str]:
    for name in BREAKERS:
        if reached[name] != expected.get(name, 0):
            yield f"{reached[name]} calls reached the dependency {name}, not {expected.get(name, 0)}."


def _extra_probes(before: Health, after: Health, breakers: list[str]) -> Iterator[str]:
    for name in breakers:
        if (probes := after[name].probes - before[name].probes) != 1:
            yield f"The breaker {name} let {probes} probes through, not exactly one."
