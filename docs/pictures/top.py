"""Draws images/top.svg: what `recloser top` shows of the service that `python -m demos.dashboard` runs.

`python -m docs.pictures.top` takes a minute, for the service has to fall ill first.
"""

import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx
from rich.text import Text

from docs.pictures.terminal import write_terminal
from recloser.cli.client.board import Board
from recloser.cli.client.connection import follow, new_client
from recloser.cli.top.screen import frame

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "docs" / "images" / "top.svg"
SIZE = (100, 18)
ADDRESS = "http://shop.example/breakers/"


class Watcher:
    """Follows a dashboard until its breakers are worth a picture."""

    def __init__(self, scope: anyio.CancelScope) -> None:
        self.board = Board()
        self._scope = scope

    @property
    def quiet_seconds(self) -> float:
        """As the dashboard says."""
        return self.board.about.quiet_seconds

    def snapshot(self, data: dict[str, Any]) -> None:
        """Take the whole state."""
        self.board.replace(data)

    def update(self, data: dict[str, Any]) -> None:
        """Take what has changed; stop when two breakers are open, one of them for some seconds."""
        self.board.update(data)
        is_open = [breaker for breaker in self.board.breakers.values() if breaker.state == "open"]
        lasting = [breaker for breaker in is_open if self.board.now - breaker.since > 2]
        if len(is_open) > 1 and lasting and len(self.board.transitions) > 8:
            self._scope.cancel()

    def alive(self) -> None:
        """Go on."""

    def connected(self) -> None:
        """Go on."""

    def lost(self, problem: str) -> None:
        """Give up: this server does not come back."""
        raise ConnectionError(problem)


async def watched(url: httpx.URL) -> Board:
    """Return what is known once it is worth a picture."""
    with anyio.CancelScope() as scope:
        watcher = Watcher(scope)
        async with new_client(url, {}, 5.0) as http:
            await follow(http, watcher, 5.0)
    return watcher.board


def main() -> None:
    """Draw the picture."""
    command = [sys.executable, "-m", "demos.dashboard", "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None  # noqa: S101 - of Popen
        url = httpx.URL(process.stdout.readline().removeprefix("The dashboard is at ").strip())
        try:
            board = anyio.run(partial(watched, url))
        finally:
            process.kill()
    head = Text.assemble((ADDRESS, "bold"), "  ", ("live", "green"))
    picture = frame(board, head, ("", "state"), SIZE)
    write_terminal(PICTURE, SIZE[0], f"recloser top {ADDRESS}", lambda console: console.print(picture))


if __name__ == "__main__":
    main()
