"""The evidence for opening a breaker, as it is stored: the workers with recent hits, and the buckets of a window."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

from recloser.fleet._store.values import MOST_GENERATION

if TYPE_CHECKING:
    from recloser.fleet._store.operations import Report

MOST_LIST: Final = 6_000
MOST_SUM: Final = 1_000_000_000_000
MOST_FIELDS: Final = 20_000
_NUMBER: Final = re.compile(r"[0-9]{1,16}")
_PAIR: Final = re.compile(r"([0-9]+) ([0-9]+)")
_VOTER: Final = re.compile(r"([A-Za-z0-9_-]+) ([0-9]+)")


class Damage(Exception):  # noqa: N818 - never leaves the engine: it ends an operation
    """The stored data has impossible values."""


def whole(text: str | None, most: int = MOST_GENERATION) -> int:
    """Return a stored integer.

    Raises:
        Damage: The text is no integer, or larger than `most`.
    """
    if text is None or not _NUMBER.fullmatch(text) or int(text) > most:
        raise Damage
    return int(text)


def pair(text: str) -> tuple[int, int]:
    """Return two stored integers: a bucket's hits and total, or a sender's sequence and instant."""
    match = _PAIR.fullmatch(text)
    if match is None:
        raise Damage
    return whole(match[1]), whole(match[2])


def latest(text: str, now: int, span: int) -> dict[str, str]:
    """Return the distinct workers with evidence within the span, newest first, each with its stored instant.

    Raises:
        Damage: The text is not of the form `worker instant worker instant ...`.
    """
    entries = [(match[1], match[2]) for match in _VOTER.finditer(text)] if len(text) <= MOST_LIST else []
    voters = dict(entries)
    if len(voters) < len(entries) or joined(voters) != text:
        raise Damage
    return {worker: instant for worker, instant in voters.items() if now - span < whole(instant) <= now}


def with_worker(voters: dict[str, str], worker: str, now: int) -> dict[str, str]:
    """Return the workers with one worker's new evidence in front."""
    return {worker: str(now), **{other: instant for other, instant in voters.items() if other != worker}}


def joined(voters: dict[str, str]) -> str:
    """Return workers and instants as they are stored."""
    return " ".join(f"{worker} {instant}" for worker, instant in voters.items())


@dataclass
class Window:
    """One rule's window while a report is added to it.

    Whatever reads the stored evidence raises `Damage` if it has impossible values.

    Args:
        report: The report.
        fields: The stored evidence.
        now: The server's clock in microseconds.
    """

    report: Report
    fields: dict[str, str]
    now: int

    def __post_init__(self) -> None:
        """Find the report's place in the window."""
        rule = self.report.rule
        self._current = math.floor(self.now / (rule.window_us / rule.buckets))
        self._sender = f"s:{rule.tag}:{self.report.worker}"

    @cached_property
    def _sums(self) -> list[tuple[int, int]]:
        return [self._bucket(self._current - age) for age in range(self.report.rule.buckets)]

    @property
    def is_duplicate(self) -> bool:
        """Whether this report, or a later one of its worker, was counted before."""
        stored = self.fields.get(self._sender)
        return stored is not None and self.report.sequence <= pair(stored)[0]

    def failing(self, most: int) -> dict[str, str]:
        """Return the latest workers with a hit in the window, including the reporting one if it had a hit."""
        rule = self.report.rule
        workers = latest(self.fields.get(f"q:{rule.tag}", ""), self.now, rule.window_us)
        if self.report.hits:
            workers = with_worker(workers, self.report.worker, self.now)
        return dict(list(workers.items())[:most])

    @property
    def is_rule_met(self) -> bool:
        """Whether the rule is met on the sums, with this report."""
        rule = self.report.rule
        hits = self.report.hits + sum(bucket[0] for bucket in self._sums)
        total = self.report.total + sum(bucket[1] for bucket in self._sums)
        return total >= rule.minimum_calls and hits >= rule.count and hits / total >= rule.rate

    @property
    def is_new_bucket(self) -> bool:
        """Whether the current bucket has no counts yet."""
        return self._key(self._current) not in self.fields

    def added(self, failing: dict[str, str]) -> dict[str, str]:
        """Return the fields that the report changes."""
        hits, total = self._sums[0]
        return {
            self._sender: f"{self.report.sequence} {self.now}",
            f"q:{self.report.rule.tag}": joined(failing),
            self._key(self._current): f"{hits + self.report.hits} {total + self.report.total}",
        }

    def pruned(self) -> dict[str, str]:
        """Return the fields without the buckets that have left the window and the senders that are gone."""
        if len(self.fields) > MOST_FIELDS:
            raise Damage
        return {key: value for key, value in self.fields.items() if self._is_live(key, value)}

    def _is_live(self, key: str, value: str) -> bool:
        rule = self.report.rule
        kind, tag, rest = key[:2], key[2 : 3 + len(rule.tag)], key[3 + len(rule.tag) :]
        if tag != f"{rule.tag}:" or kind not in {"b:", "s:"}:
            return True
        try:
            if kind == "b:":
                return self._current - rule.buckets < whole(rest) <= self._current
            return self.now - 2 * rule.window_us < pair(value)[1] <= self.now
        except Damage:
            return False

    def _bucket(self, index: int) -> tuple[int, int]:
        hits, total = pair(self.fields.get(self._key(index), "0 0"))
        if hits > total or total > MOST_SUM:
            raise Damage
        return hits, total

    def _key(self, index: int) -> str:
        return f"b:{self.report.rule.tag}:{index}"
