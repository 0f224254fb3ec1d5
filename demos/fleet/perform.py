"""The demo from start to exit code: play, sum up."""

import tempfile
import time
from functools import partial
from pathlib import Path
from random import Random

import anyio
from rich.console import Console
from rich.table import Table

from demos.fleet.pace import DEFAULT, FAST, THRESHOLD, Pace
from demos.fleet.play import HEALTHY, Act, Play, Stage
from demos.fleet.server import Server, find_server
from demos.fleet.workers import Crew, StageError
from recloser.cli.demo.upstream import HOST, Upstream, bind
from recloser.cli.endings import leaves, unwrapped

__all__ = ["conclude", "perform"]


def perform(workers: int, *, fast: bool) -> int:
    """Run the demo and say what came of it.

    Args:
        workers: How many worker processes there are.
        fast: Whether reset timeouts are shorter.

    Returns:
        The exit code: 0 if all came as it should, 1 if not.

    Raises:
        KeyboardInterrupt: The user pressed Ctrl-C; all processes have ended.
        BrokenPipeError: Nobody reads the output any more.
        NoServerError: There is no redis-server.
    """
    console = Console(highlight=False, markup=False, soft_wrap=True)
    acts: list[Act] = []
    problems: list[str] = []
    executable = find_server()
    with (
        tempfile.TemporaryDirectory(prefix="recloser-") as directory,
        Server(Path(directory), executable=executable).owned() as server,
    ):
        try:
            with unwrapped():
                anyio.run(partial(_play, workers, FAST if fast else DEFAULT, server, console, acts))
        except* (StageError, TimeoutError) as errors:
            problems = [f"The demo ended early: {error}." for error in leaves(errors)]
    return conclude(acts, problems, console)


def conclude(acts: list[Act], problems: list[str], console: Console) -> int:
    """Sum up a run that is over.

    Args:
        acts: What came of them.
        problems: What else is not as it should be.
        console: Where to print it.

    Returns:
        The exit code: 0 if all came as it should, 1 if not.
    """
    table = Table("act", "requests that reached the upstream", title="Counted at the upstream")
    for number, act in enumerate(acts, start=1):
        by_worker = ", ".join(f"{lane} {count}" for lane, count in sorted(act.reached.items()))
        table.add_row(str(number), f"{act.reached.total()}: {by_worker}" if by_worker else "0")
    console.print(table)
    problems = [*(problem for act in acts for problem in act.problems), *problems]
    for problem in problems:
        console.print(f"PROBLEM: {problem}", style="bold red")
    if not problems:
        console.print("All of it came as it should.", style="bold green")
    return 1 if problems else 0


class _Lines:
    """Shows acts as lines."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def begin(self, number: int, act: Act) -> None:
        self._console.print(f"\n{number}. {act.title}", style="bold")

    def end(self, act: Act) -> None:
        for line in act.lines:
            self._console.print(f"   {line}")
        for problem in act.problems:
            self._console.print(f"   PROBLEM: {problem}", style="bold red")


async def _play(workers: int, pace: Pace, server: Server, console: Console, acts: list[Act]) -> None:
    await server.start()
    listener, port = await bind(0)
    url = f"http://{HOST}:{port}"
    upstream = Upstream(HEALTHY, random=Random(1), clock=time.monotonic)
    console.print(
        f"{workers} worker processes call {url}, each through its own breaker: {THRESHOLD} failures in a row open it, "
        f"for {pace.open_seconds} s. They share it through a private Redis; the quorum is 2."
    )
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(upstream.serve, listener)
        async with Crew.working(workers, server.url, url, pace) as crew:
            play = Play(Stage(crew, upstream, url, server, pace), _Lines(console))
            try:
                await play.run()
            finally:
                acts += play.acts
        tasks.cancel_scope.cancel()
