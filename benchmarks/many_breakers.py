"""Measures what many breakers of a registry cost the garbage collector: `python -m benchmarks.many_breakers`.

A collection stops the process, so its duration is how long the event loop stands still. `--paused` creates the breakers
while the automatic collections are disabled. A million breakers take about a gigabyte of memory.
"""

import argparse
import gc
import platform
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from recloser import BreakerRegistry, ConsecutiveFailures, FailureRate, TimeWindow

BREAKERS = 1_000_000
COLLECTIONS = 5
OLDEST = 2
RULES: dict[str, ConsecutiveFailures | FailureRate] = {
    "default": ConsecutiveFailures(5),
    "count": FailureRate(0.5),
    "time": FailureRate(0.5, window=TimeWindow(60)),
}


@dataclass(slots=True)
class Pauses:
    """The automatic collections while something runs.

    Attributes:
        seconds: How long each of them took.
        full: How many of them were full.
    """

    seconds: list[float] = field(default_factory=list)
    full: int = 0
    _started: float = 0.0

    def __call__(self, phase: str, info: dict[str, Any]) -> None:
        """Note the start or the end of a collection; a callback of `gc.callbacks`."""
        if phase == "start":
            self._started = time.perf_counter()
            return
        self.seconds.append(time.perf_counter() - self._started)
        self.full += info["generation"] == OLDEST


@dataclass(frozen=True, slots=True)
class Figures:
    """What the breakers cost.

    Attributes:
        breakers: How many there are.
        tracked: Objects per breaker that the collector tracks.
        resident_bytes: Memory per breaker, with its name and its place in the registry, as the system sees it.
        creation_seconds: How long it takes to create all of them.
        pauses: The automatic collections meanwhile.
        collection_seconds: How long a full collection takes.
        frozen_seconds: How long it takes after `gc.freeze()`.
    """

    breakers: int
    tracked: float
    resident_bytes: float
    creation_seconds: float
    pauses: Pauses
    collection_seconds: float
    frozen_seconds: float

    def text(self) -> str:
        """Return the figures as lines of text."""
        longest, total = max(self.pauses.seconds, default=0.0), sum(self.pauses.seconds)
        lines = (
            f"CPython {platform.python_version()}, {self.breakers:,} breakers",
            f"objects that the collector tracks per breaker: {self.tracked:.2f}",
            f"resident memory per breaker: {self.resident_bytes:,.0f} B",
            f"creating them: {self.creation_seconds:.2f} s, of which {total:.2f} s in collections",
            f"full collections meanwhile: {self.pauses.full}; the longest pause: {1e3 * longest:,.0f} ms",
            f"a full collection: {1e3 * self.collection_seconds:,.1f} ms",
            f"a full collection after gc.freeze(): {1e3 * self.frozen_seconds:,.2f} ms",
        )
        return "\n".join(lines)


def measure(breakers: int, rule: str, *, paused: bool) -> Figures:
    """Create breakers and measure them.

    Args:
        breakers: How many.
        rule: A key of `RULES`.
        paused: Whether to disable the automatic collections meanwhile.
    """
    registry = BreakerRegistry(max_breakers=breakers + 1, trip_when=RULES[rule])
    registry.breaker("first")
    gc.collect()
    tracked, resident = len(gc.get_objects()), _resident_bytes()
    pauses = Pauses()
    gc.callbacks.append(pauses)
    if paused:
        gc.disable()
    started = time.perf_counter()
    for number in range(breakers):
        registry.breaker(f"host-{number}.example.com")
    creation_seconds = time.perf_counter() - started
    gc.enable()
    gc.callbacks.remove(pauses)
    resident = _resident_bytes() - resident
    collection_seconds = _collection_seconds()
    tracked = len(gc.get_objects()) - tracked
    gc.freeze()
    frozen_seconds = _collection_seconds()
    return Figures(
        breakers,
        tracked / breakers,
        resident / breakers,
        creation_seconds,
        pauses,
        collection_seconds,
        frozen_seconds,
    )


def _collection_seconds() -> float:
    """Return how long the fastest of some full collections takes."""
    found = []
    for _ in range(COLLECTIONS):
        started = time.perf_counter()
        gc.collect()
        found.append(time.perf_counter() - started)
    return min(found)


def _resident_bytes() -> int:
    """Return the most memory that the process has used so far."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints the figures.

    Args:
        arguments: The arguments of the command line.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.many_breakers", description=__doc__)
    parser.add_argument("--breakers", type=int, default=BREAKERS, help="how many breakers to create")
    parser.add_argument("--rule", choices=RULES, default="default", help="their trip rule")
    parser.add_argument("--paused", action="store_true", help="disable automatic collections while creating them")
    chosen = parser.parse_args(arguments)
    print(measure(chosen.breakers, chosen.rule, paused=chosen.paused).text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
