"""The demo from start to exit code: play the acts, print the summary."""

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
from demos.fleet.workers import DemoError, Workers
from recloser.cli.demo.upstream import HOST, Upstream
from recloser.cli.endings import leaves, unwrapped

__all__ = ["Lines", "conclude", "perform"]


def perform(workers: int, *, fast: bool) -> int:
    """Run the demo and print its outcome.

    Args:
        workers: How many worker processes there are.
        fast: Use shorter reset timeouts.

    Returns:
        The exit code: 0 if everything was as expected, 1 if not.

    Raises:
        KeyboardInterrupt: The user pressed Ctrl-C; all processes have ended.
        BrokenPipeError: The reader of the output is gone.
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
        except* (DemoError, TimeoutError) as errors:
            problems = [f"The demo ended early: {error}." for error in leaves(errors)]
    return conclude(acts, problems, console)


def conclude(acts: list[Act], problems: list[str], console: Console) -> int:
    """Sum up a run that is over.

    Args:
        acts: The acts that were played.
        problems: What else was not as expected.
        console: Where to print it.

    Returns:
        The exit code: 0 if everything was as expected, 1 if not.
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
        console.print("Everything was as expected.", style="bold green")
    return 1 if problems else 0


class Lines:
    """Shows acts as lines.

    Args:
        console: Where to print them.
    """

    def __init__(self, console: Console) -> None:
        self._console = console

    def begin(self, number: int, act: Act) -> None:
        """Print the title of an act."""
        self._console.print(f"\n{number}. {act.title}", style="bold")

    def end(self, act: Act) -> None:
        """Print its outcome."""
        for line in act.lines:
            self._console.print(f"   {line}")
        for problem in act.problems:
            self._console.print(f"   PROBLEM: {problem}", style="bold red")


async def _play(count: int, pace: Pace, server: Server, console: Console, acts: list[Act]) -> None:
    await server.start()
    upstream = Upstream(HEALTHY, random=Random(1), clock=time.monotonic)
    async with upstream.serving() as port:
        url = f"http://{HOST}:{port}"
        console.print(
            f"{count} worker processes call {url}, each through its own breaker: {THRESHOLD} failures in a row open "
            f"it, for {pace.reset_timeout_seconds} s. They share it through a private Redis; the quorum is 2."
        )
        async with Workers.started(count, server.url, url, pace) as workers:
            play = Play(Stage(workers, upstream, url, server, pace), Lines(console))
            try:
                await play.run()
            finally:
                acts += play.acts
