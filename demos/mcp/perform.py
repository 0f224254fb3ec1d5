"""The demo from start to exit code: play the script, print the summary."""

import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TextIO

import anyio
from mcp import MCPError
from rich.console import Console

from demos.mcp.director import DemoError
from demos.mcp.plain import PlainView
from demos.mcp.play import Record, View, play
from demos.mcp.summary import summary
from demos.mcp.terminal import TerminalView
from recloser.cli.endings import leaves, unwrapped

__all__ = ["conclude", "perform"]

_LINES_OF_LOG = 20


def perform(*, plain: bool) -> int:
    """Run the demo and print its outcome.

    Args:
        plain: Write lines even on a terminal.

    Returns:
        The exit code: 0 if everything was as expected, 1 if not.

    Raises:
        KeyboardInterrupt: The user pressed Ctrl-C; the server has ended and all sockets are closed.
        BrokenPipeError: The reader of the output is gone.
    """
    console = Console()
    with tempfile.TemporaryDirectory(prefix="recloser-demo-") as directory:
        log = Path(directory) / "server.log"
        view = PlainView(sys.stdout) if plain or not console.is_terminal else TerminalView(console)
        with log.open("w", encoding="utf-8") as errlog:
            record = _play(view, Path(directory), errlog)
        code = conclude(record, console)
        if code:
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LINES_OF_LOG:]
            console.print("The server's log ends with:", *lines, sep="\n", highlight=False, markup=False)
        return code


def conclude(record: Record, console: Console) -> int:
    """Sum up a run that is over.

    Args:
        record: What happened.
        console: Where to print the summary and the problems.

    Returns:
        The exit code: 0 if everything was as expected, 1 if not.
    """
    if any(reports for _, reports in record.phases):
        console.print(summary(record))
    for problem in record.problems:
        console.print(f"PROBLEM: {problem}", style="bold red", highlight=False, markup=False, soft_wrap=True)
    if not record.problems:
        console.print("Everything was as expected.", style="bold green")
    return 1 if record.problems else 0


def _play(view: View, directory: Path, log: TextIO) -> Record:
    record = Record()
    try:
        with unwrapped():
            anyio.run(partial(play, view, record, directory, log))
    except* (MCPError, DemoError) as errors:
        record.problems += [f"The demo ended early: {error}." for error in leaves(errors)]
    return record
