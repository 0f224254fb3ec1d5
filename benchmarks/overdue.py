"""Simulates which calls that are cut off count as failures: how often that opens the breaker of a healthy dependency.

`python -m benchmarks.overdue` prints the figures that docs/design/cancellation.md quotes; it takes some minutes.

The latencies of a healthy dependency are log-normal, with a median of 50 ms. They are independent of how long a call
may take, which depends on the world:

- fixed: each call has the same time limit, and all of it.
- left: a neighbour has eaten some of the same time limit; what is left is uniformly distributed.
- shared: every other call has that time limit, the others have none.
- random: the limits are spread over three orders of magnitude.

A breaker opens after five failures in a row, and closes with the first probe that succeeds. Calls are made one after
another, and each that is cut off was ended by a deadline. Each world is judged by two rules: each deadline is a
failure, or each overdue call is one.
"""

import argparse
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

from recloser._core.usual import FIRST_SAMPLES, SAMPLE_EVERY, OverdueCalls, UsualDuration

MEDIAN_SECONDS = 0.05
SPREADS = (3, 20)
"""The 99th percentile of the latencies, in medians."""
LIMITS = (0.1, 0.3, 0.5, 1, 2, 3, 5, 10, 30, 100)
"""Time limits, in medians."""
THRESHOLD = 5
Z_99 = 2.3263
WARM_UP_CALLS = 20_000
HANGS = 100
USUALLY = 0.95
"""Successes usually fit into a time limit if that share of them does."""

Limit = Callable[[Random], float]


@dataclass(frozen=True, slots=True)
class World:
    """A healthy dependency and the time limits of the calls to it.

    Args:
        kind: How the limits are drawn.
        spread: The 99th percentile of the latencies, in medians.
        medians: The time limit, in medians; None if the limits are random.
        limit: Returns the time limit of a call, in seconds.
    """

    kind: str
    spread: int
    medians: float | None
    limit: Limit

    def latency(self, random: Random) -> float:
        """Returns how long the dependency would take for a call, in seconds."""
        return MEDIAN_SECONDS * math.exp(math.log(self.spread) / Z_99 * random.gauss(0, 1))

    def fit(self) -> float:
        """Returns the share of the latencies that fit into the whole time limit."""
        if self.medians is None:
            return 0.0
        return 0.5 * math.erfc(-math.log(self.medians) / (math.log(self.spread) / Z_99) / math.sqrt(2))


def worlds() -> Iterator[World]:
    """Returns every world."""
    for spread in SPREADS:
        for medians in LIMITS:
            seconds = medians * MEDIAN_SECONDS
            yield World("fixed", spread, medians, lambda _, s=seconds: s)
            yield World("left", spread, medians, lambda random, s=seconds: s * random.random())
            yield World("shared", spread, medians, lambda random, s=seconds: s if random.random() < 0.5 else math.inf)
        yield World("random", spread, None, lambda random: MEDIAN_SECONDS * 10 ** random.uniform(-1, 2))


class Breaker:
    """A breaker that counts overdue calls, as far as that matters here."""

    def __init__(self) -> None:
        self.usual = UsualDuration()
        self.overdue = OverdueCalls()
        self.successes = self.run = self.opened = 0
        self.is_open = False
        self._first, self._sample_at = FIRST_SAMPLES, 0

    def succeed(self, seconds: float) -> None:
        """Counts a success."""
        if self.successes >= self._sample_at:
            self.usual.learn(seconds)
            self._first = max(0, self._first - 1)
            self._sample_at = self.successes + (1 if self._first else SAMPLE_EVERY)
        self.successes += 1
        self.run = 0

    def close(self, seconds: float) -> None:
        """Closes by a probe that has succeeded."""
        self.usual.learn(seconds)
        self._first, self._sample_at = FIRST_SAMPLES, self.successes
        self.is_open = False

    def cut_off(self, seconds: float) -> None:
        """Counts a call that its deadline has ended."""
        if self.usual.is_overdue(seconds, by_deadline=True) and self.overdue.is_telling(self.successes):
            self.run += 1
            if self.run == THRESHOLD:
                self.opened += 1
                self.run = 0
                self.overdue.end_run(self.successes)
                self.is_open = True


@dataclass(frozen=True, slots=True)
class Figures:
    """What happened in a world, in millionths of its calls; of the breaker that counts every deadline, as well."""

    cut_off: float
    opened_by_deadlines: float
    opened: float


def simulate(world: World, calls: int, seed: int = 1) -> Figures:
    """Makes calls in a world."""
    random, breaker = Random(seed), Breaker()
    cut_off = run = opened = 0
    is_open = False
    for _ in range(calls):
        latency, limit = world.latency(random), world.limit(random)
        is_answered = latency <= limit
        cut_off += not is_answered
        if is_open:
            is_open = not is_answered
        else:
            run = 0 if is_answered else run + 1
            if run == THRESHOLD:
                opened, run, is_open = opened + 1, 0, True
        if not breaker.is_open:
            breaker.succeed(latency) if is_answered else breaker.cut_off(limit)
        elif is_answered:
            breaker.close(latency)
    millions = calls / 1e6
    return Figures(cut_off / millions, opened / millions, breaker.opened / millions)


def calls_until_open(world: World, seed: int) -> int | None:
    """Returns how many calls a dependency that begins to hang costs until the breaker opens; None if it stays closed.

    One more call than the rule needs, because a breaker begins to note when calls start with the first that is cut off.
    """
    random, breaker = Random(seed), Breaker()
    for _ in range(WARM_UP_CALLS + random.randrange(SAMPLE_EVERY)):
        latency, limit = world.latency(random), world.limit(random)
        if breaker.is_open and latency <= limit:
            breaker.close(latency)
        elif not breaker.is_open:
            breaker.succeed(latency) if latency <= limit else breaker.cut_off(limit)
    breaker.is_open = False
    opened, cut_off = breaker.opened, 1
    while breaker.opened == opened and cut_off < 1000:
        limit = world.limit(random)
        if limit < math.inf:
            cut_off += 1
            breaker.cut_off(limit)
    return cut_off if breaker.opened > opened else None


def main() -> None:
    """Prints a table of all worlds, and one of the hangs."""
    parser = argparse.ArgumentParser(description="Simulates which calls that are cut off count as failures.")
    parser.add_argument("--calls", type=int, default=1_000_000, help="how many calls to make in each world")
    calls = parser.parse_args().calls
    print("| limits | p99 / median | limit / median | cut off | each deadline counts | overdue calls count |")
    print("|---|---:|---:|---:|---:|---:|")
    for world in worlds():
        figures = simulate(world, calls)
        medians = "0.1 to 100" if world.medians is None else f"{world.medians:g}"
        share = f"{figures.cut_off / 1e4:.2f} %"
        opened = f"{figures.opened_by_deadlines:,.0f} | {figures.opened:,.0f}"
        print(f"| {world.kind} | {world.spread} | {medians} | {share} | {opened} |", flush=True)
    print("\n| limits | p99 / median | limit / median | hangs noticed | cut-off calls until then, at most |")
    print("|---|---:|---:|---:|---:|")
    for world in worlds():
        if world.fit() >= USUALLY and world.kind in {"fixed", "shared"}:
            found = [calls_until_open(world, seed) for seed in range(HANGS)]
            noticed = [count for count in found if count is not None]
            most = max(noticed, default=0)
            share = f"{len(noticed) / HANGS:.0%}"
            print(f"| {world.kind} | {world.spread} | {world.medians:g} | {share} | {most} |", flush=True)


if __name__ == "__main__":
    main()
