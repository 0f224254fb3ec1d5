"""Starts the server and its dependencies, and plays the script."""

import math
import os
import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TextIO

import anyio
from mcp import Client, StdioServerParameters, stdio_client

from demos.mcp.dependencies import Dependencies
from demos.mcp.director import Director
from demos.mcp.facts import Health, Probe, Report
from demos.mcp.script import PHASES, RECOVERING, RESET_SECONDS, Phase
from examples.mcp_server.upstream import Upstream

__all__ = ["SERVER", "Record", "View", "play"]

_ROOT = Path(__file__).parents[2]
SERVER = [sys.executable, "-m", "examples.mcp_server"]
"""The command that serves by stdio, at the root of the clone."""


class View(Protocol):
    """Shows the script while it is played."""

    def begin(self, health: Health) -> None:
        """Show that the server is running."""

    def phase(self, number: int, phase: Phase) -> None:
        """Show that a phase begins."""

    def report(self, report: Report) -> None:
        """Show the outcome of a step."""

    def waiting(self, seconds: float, health: Health) -> AbstractContextManager[object]:
        """Show how long the next wait is, and which health it comes from; the wait lasts as long as the block."""
        ...

    def ready(self, health: Health) -> None:
        """Show health at the end of the wait."""


@dataclass(slots=True)
class Record:
    """What happened.

    Attributes:
        phases: Each phase that began, with the outcome of its steps.
        waited_seconds: How long the client waited, as health told it to.
        problems: What was not as expected, one sentence each.
    """

    phases: list[tuple[Phase, list[Report]]] = field(default_factory=list[tuple[Phase, list[Report]]])
    waited_seconds: float = 0.0
    problems: list[str] = field(default_factory=list[str])


async def play(view: View, record: Record, directory: Path, log: TextIO) -> None:
    """Play the whole script.

    When cancelled, the server has ended and the socket of the services is closed before this returns.

    Args:
        view: Shows it meanwhile.
        record: Collects what happens.
        directory: An empty directory, for the database.
        log: Gets what the server writes to its standard error.

    Raises:
        DemoError: A probe does not reach its dependency.
        MCPError: The server no longer answers.
    """
    upstream, database = Upstream(), directory / "demo.db"
    with upstream.serving() as url:
        dependencies = Dependencies(upstream, database)
        times = ["--api-reset-seconds", f"{RESET_SECONDS}", "--database-reset-seconds", f"{RESET_SECONDS}"]
        command, *arguments = SERVER
        arguments += ["--upstream", url, "--database", str(database), *times]
        server = StdioServerParameters(command=command, args=arguments, env=dict(os.environ), cwd=_ROOT)
        async with Client(stdio_client(server, errlog=log)) as client:
            await _perform(Director(client, dependencies), dependencies, view, record)


async def _perform(director: Director, dependencies: Dependencies, view: View, record: Record) -> None:
    view.begin(await director.health())
    for number, phase in enumerate(PHASES, start=1):
        view.phase(number, phase)
        if phase is RECOVERING:
            dependencies.repair()
            record.waited_seconds = await _wait(director, view)
        reports: list[Report] = []
        record.phases.append((phase, reports))
        for step in phase.steps:
            found = await director.play_probe(step) if isinstance(step, Probe) else [await director.play(step)]
            for report in found:
                view.report(report)
                reports.append(report)
                record.problems += [f"{phase.name}: {problem}" for problem in report.problems]


async def _wait(director: Director, view: View) -> float:
    """Wait as long as health says, for the breaker that admits a probe last."""
    health = await director.health()
    seconds = max(breaker.retry_after or 0.0 for breaker in health.values())
    with view.waiting(seconds, health):
        await anyio.sleep(math.ceil(seconds * 1000) / 1000)
    view.ready(await director.health())
    return seconds
