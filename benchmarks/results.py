"""The results of a run: figures with their spread, and their form in results.json."""

import json
import os
import platform
import re
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Self

DIGITS = 4


class Figure(NamedTuple):
    """What several processes have measured: the median, the lowest and the highest figure."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Returns the figure of one value for each process."""
        return cls(*(float(f"{each:.{DIGITS}g}") for each in (statistics.median(values), min(values), max(values))))


@dataclass(slots=True)
class OfPython:
    """The figures of one Python.

    Args:
        python: Its implementation and version.
        versions: The versions of the libraries, by name.
        nanoseconds: The time of each subject.
        ratios: What each path costs in units of what it is compared with, by column and path.
        sizes: The other figures of recloser.
        facts: The other figures of each library.
        libraries: What the tables say about each library.
        absent: The libraries that are not installed, with the reason.
        errors: What could not be measured, and why.
    """

    python: str
    versions: dict[str, str] = field(default_factory=dict)
    nanoseconds: dict[str, Figure] = field(default_factory=dict)
    ratios: dict[str, dict[str, Figure]] = field(default_factory=dict)
    sizes: dict[str, Figure] = field(default_factory=dict)
    facts: dict[str, dict[str, float]] = field(default_factory=dict)
    libraries: dict[str, dict[str, str]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)

    def ratio(self, column: str, key: str) -> Figure | None:
        """Returns what a path costs; None if it was not measured.

        Args:
            column: What it is compared with: `floor`, `lean`, `like` or `own`.
            key: The path.
        """
        return self.ratios.get(column, {}).get(key)

    @classmethod
    def parsed(cls, found: dict[str, Any]) -> Self:
        """Returns the figures from parsed JSON."""
        result = cls(**found)
        result.nanoseconds = _parsed(result.nanoseconds)
        result.sizes = _parsed(result.sizes)
        result.ratios = {column: _parsed(figures) for column, figures in result.ratios.items()}
        return result


def _parsed(found: dict[str, Any]) -> dict[str, Figure]:
    return {key: Figure(*values) for key, values in found.items()}


@dataclass(slots=True)
class Results:
    """The results of a run.

    Args:
        machine: Its processor and system.
        processes: How many processes have measured on each Python.
        rounds: How often each of them has timed each subject.
        batch_milliseconds: How long a subject ran each time.
        pythons: The figures of each Python; those of the first one include the libraries.
        missing: The Pythons that were looked for and not found.
    """

    machine: str
    processes: int
    rounds: int
    batch_milliseconds: float
    pythons: list[OfPython] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def text(self) -> str:
        """Returns the results as JSON, with one line for each figure."""
        text = json.dumps(asdict(self), indent=1)
        return re.sub(r"\[\s+([^\[\]\"]+?)\s+\]", lambda numbers: f"[{' '.join(numbers[1].split())}]", text) + "\n"

    @classmethod
    def parsed(cls, text: str) -> Self:
        """Returns the results from JSON."""
        found = json.loads(text)
        found["pythons"] = [OfPython.parsed(each) for each in found["pythons"]]
        return cls(**found)


def machine() -> str:
    """Returns the processor and the system, and nothing that identifies the machine."""
    return f"{_processor()}, {os.cpu_count()} cores, {_system()}"


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()
