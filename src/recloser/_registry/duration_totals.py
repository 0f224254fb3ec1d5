"""How long the calls of a registry's breakers took: added up by name and outcome, or recorded one by one."""

from __future__ import annotations

import logging
from itertools import accumulate
from operator import add
from typing import TYPE_CHECKING, NamedTuple

from recloser._breaker.log import LogLimit

if TYPE_CHECKING:
    from collections.abc import Callable

    from recloser._breaker.durations import Histograms
    from recloser._core.outcomes import Outcome


class DurationTotals(NamedTuple):
    """How long the calls of one name with one outcome took.

    Attributes:
        counts: By bucket: how many calls took at most as long as its bound, so each count includes those of all lower
            buckets. The last bucket has no bound: it counts all calls.
        total_seconds: The sum of their durations.
        longest_seconds: The longest duration of the last one to two minutes, of breakers that exist now; else 0.
    """

    counts: tuple[int, ...]
    total_seconds: float
    longest_seconds: float


class _Sum(NamedTuple):
    """As `DurationTotals`, but the count of a bucket includes no other bucket."""

    counts: tuple[int, ...]
    total_seconds: float
    longest_seconds: float


class DurationSums:
    """The durations of many breakers by name and outcome.

    Args:
        bounds: The bounds of the buckets, in seconds; empty if there are none.
    """

    __slots__ = ("_bounds", "_sums")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._sums: dict[str, dict[Outcome, _Sum]] = {}

    def copy(self) -> DurationSums:
        """Return an independent copy."""
        other = DurationSums(self._bounds)
        other._sums = {name: sums.copy() for name, sums in self._sums.items()}
        return other

    def add(self, name: str, chain: tuple[Histograms, ...], now: float | None = None) -> None:
        """Add what a breaker has measured.

        Args:
            name: The name to add it to.
            chain: The histograms of the breaker.
            now: The time of its clock; None if it is gone.
        """
        for histograms in chain if self._bounds else ():
            for outcome, histogram in histograms.by_outcome.copy().items():
                counts = histogram.counts_by(self._bounds)
                if counts is not None and any(counts):
                    longest = 0.0 if now is None else histogram.longest(now)
                    self._add(name, outcome, _Sum(tuple(counts), histogram.total_seconds, longest))

    def _add(self, name: str, outcome: Outcome, more: _Sum) -> None:
        sums = self._sums.setdefault(name, {})
        known = sums.get(outcome)
        if known is not None:
            counts = tuple(map(add, known.counts, more.counts))
            longest = max(known.longest_seconds, more.longest_seconds)
            more = _Sum(counts, known.total_seconds + more.total_seconds, longest)
        sums[outcome] = more

    def of(self, name: str) -> dict[str, DurationTotals]:
        """Return the durations of a name by outcome."""
        return {
            outcome.value: DurationTotals(tuple(accumulate(each.counts)), each.total_seconds, each.longest_seconds)
            for outcome, each in self._sums.get(name, {}).items()
        }


class Recorder:
    """Calls a user's function with the durations of one name; a function that fails never breaks a call.

    Args:
        name: The name.
        record: The function, as for the ledger.
    """

    __slots__ = ("_failed", "_limit", "_name", "_record")

    def __init__(self, name: str, record: Callable[[str, str, float, str | None], object]) -> None:
        self._name = name
        self._record = record
        self._failed = False
        self._limit: LogLimit | None = None

    def __call__(self, outcome: Outcome, seconds: float, error_type: str | None) -> None:
        """Record a duration; log it if that fails, unless the one before failed as well."""
        try:
            self._record(self._name, outcome.value, seconds, error_type)
        except Exception as fault:  # noqa: BLE001 - logged
            if not self._failed:
                self._failed = True
                message = "The durations of circuit breaker %r can't be recorded"
                limit = self._limit = self._limit or LogLimit()
                limit.log(logging.ERROR, message, self._name, fault=fault)
            return
        self._failed = False
