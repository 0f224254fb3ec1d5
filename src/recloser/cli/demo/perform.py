"""The demo from start to exit code: run, summarise, draw."""

import logging
import sys
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path

import anyio
from rich.console import Console

from recloser.cli.demo.experiment import Experiment
from recloser.cli.demo.live import LiveView
from recloser.cli.demo.plain import PlainView
from recloser.cli.demo.plan import Plan
from recloser.cli.demo.report import report
from recloser.cli.demo.run import play
from recloser.cli.demo.summary import summarise
from recloser.cli.demo.timeline import draw
from recloser.cli.demo.view import View
from recloser.cli.endings import unwrapped

__all__ = ["conclude", "perform"]

# Without this, Ctrl-C can interrupt trio anywhere, for example while a task group starts.
_OPTIONS = {"asyncio": {}, "trio": {"restrict_keyboard_interrupt_to_checkpoints": True}}


def perform(plan: Plan, *, seed: int, port: int, backend: str, plain: bool, picture: Path | None) -> int:
    """Run the demo and print the results.

    Args:
        plan: What to play.
        seed: The seed of the replies, latencies, pauses and orders.
        port: The upstream's TCP port; 0 means any free port.
        backend: `asyncio` or `trio`.
        plain: Write lines even on a terminal.
        picture: Where to write the timeline; None for no picture.

    Returns:
        The exit code: 0 if the breaker behaved as it should, 1 if not.

    Raises:
        KeyboardInterrupt: The user pressed Ctrl-C; all tasks have ended and all sockets are closed.
        BrokenPipeError: Nothing reads the output any more.
        OSError: The port cannot be used, or the picture could not be written.
    """
    # The views show every transition, so the library's log lines would repeat them.
    logging.getLogger("recloser").addHandler(logging.NullHandler())
    console = Console()
    experiment = Experiment(plan, seed=seed)
    _play(experiment, console, port=port, backend=backend, plain=plain)
    return conclude(experiment, console, picture)


def conclude(experiment: Experiment, console: Console, picture: Path | None) -> int:
    """Summarise a finished run.

    Args:
        experiment: What happened.
        console: Where to print the summary and the problems.
        picture: Where to write the timeline; None for no picture.

    Returns:
        The exit code: 0 if the breaker behaved as it should, 1 if not.

    Raises:
        OSError: The picture could not be written.
    """
    summary = summarise(experiment)
    console.print(report(summary, experiment.plan))
    if picture is not None:
        draw(experiment, summary, picture)
        console.print(f"Timeline:  {picture}", highlight=False, markup=False, soft_wrap=True)
    for problem in summary.problems:
        console.print(f"PROBLEM: {problem}", style="bold red", highlight=False, soft_wrap=True)
    return 1 if summary.problems else 0


def _play(experiment: Experiment, console: Console, *, port: int, backend: str, plain: bool) -> None:
    with unwrapped(), _screen(experiment, console, plain=plain) as view:
        anyio.run(partial(play, experiment, view, port=port), backend=backend, backend_options=_OPTIONS[backend])


def _screen(experiment: Experiment, console: Console, *, plain: bool) -> AbstractContextManager[View]:
    if plain or not console.is_terminal:
        return nullcontext(PlainView(sys.stdout, experiment))
    return LiveView(console, experiment)
