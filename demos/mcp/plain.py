"""The view for pipes, logs and CI: lines without colours that never move and are never wrapped."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import TextIO

from demos.mcp import wording
from demos.mcp.facts import Health, Report
from demos.mcp.script import Phase

__all__ = ["PlainView"]


class PlainView:
    """Writes lines.

    Args:
        stream: Where to write.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def begin(self, health: Health) -> None:
        """Write that the server is running."""
        self._write("an MCP server is running; the client calls it over stdio")
        self._write(f"  health: {_states(health)}")

    def phase(self, number: int, phase: Phase) -> None:
        """Write that a phase begins."""
        self._write(f"\n{number}. {phase.name}: {phase.about}")

    def report(self, report: Report) -> None:
        """Write the outcome of a step."""
        for name in report.broken:
            self._write(f"  {wording.failure(name)}")
        for exchange in report.exchanges:
            self._write(f"  {wording.asked(exchange)}")
            for label, text in wording.answers(exchange):
                self._write(f"    {label}: {text}")
        if report.reached is not None:
            self._write(f"    reached the dependencies: {wording.reached(report)}")
        changed = wording.changes(report)
        said = [f"{name} {old} -> {new}" for name, old, new in changed]
        self._write(f"    health: {'; '.join([*said, _states(report.after, [name for name, *_ in changed])])}")
        for problem in report.problems:
            self._write(f"    PROBLEM: {problem}")

    @contextmanager
    def waiting(self, seconds: float, health: Health) -> Generator[None]:
        """Write how long the wait is."""
        self._write(f"  {wording.wait(seconds, health)}")
        yield

    def ready(self, health: Health) -> None:
        """Write health at the end of the wait."""
        self._write(f"  health: {_states(health)}, until a call arrives")

    def _write(self, line: str) -> None:
        self._stream.write(f"{line}\n")
        self._stream.flush()


def _states(health: Health, but: list[str] | None = None) -> str:
    return "; ".join(f"{state} {names}" for state, names in wording.still(health, but or ()))
