"""The record of one breaker, as it is stored in a hash of strings."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote

from recloser._core.states import CircuitState
from recloser.fleet._store.evidence import Damage, whole
from recloser.fleet._store.values import (
    MANUAL,
    MOST_CALLS,
    MOST_DURATION_US,
    MOST_GENERATION,
    MOST_TRIPS,
    FleetPolicy,
    SharedState,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

VERSION: Final = "1"
DAY_US: Final = 24 * 3600 * 1_000_000
LINGER_MS: Final = 60_000
_ENCODED: Final = re.compile(r"[A-Za-z0-9%._~-]{0,2400}")


@dataclass(frozen=True, slots=True)
class Record:
    """A shared state with its end as an instant of the server's clock; 0 means "no end", or ended.

    Author and reason are percent-encoded, as in messages.
    """

    state: CircuitState = CircuitState.CLOSED
    generation: int = 0
    ends_us: int = 0
    trips: int = 0
    passed: int = 0
    author: str = ""
    reason: str = ""

    @classmethod
    def known(cls, known: SharedState, policy: FleetPolicy, now: int) -> Record:
        """Return the state that a caller knows, with its time cut down to the policy."""
        left = 0 if known.remaining_us is None else min(known.remaining_us, longest(known.state, policy))
        ends = 0 if known.remaining_us is None or known.state is CircuitState.CLOSED else now + left
        author, reason = quote(known.author, safe=""), quote(known.reason, safe="")
        return cls(known.state, known.generation, ends, known.trips, known.passed, author, reason)

    @classmethod
    def stored(cls, fields: Mapping[str, str], now: int) -> Record:
        """Return the stored record.

        Raises:
            Damage: It has impossible values, or is of another version.
        """
        version = fields.get("v")
        if version not in {None, VERSION}:
            raise OtherVersion
        state, author, reason = (fields.get(name) for name in ("state", "author", "reason"))
        if version is None or state not in set(CircuitState) or author is None or reason is None:
            raise Damage
        if not (_ENCODED.fullmatch(author) and _ENCODED.fullmatch(reason)):
            raise Damage
        return cls(
            CircuitState(state),
            whole(fields.get("generation"), min(now + DAY_US, MOST_GENERATION)),
            whole(fields.get("ends")),
            whole(fields.get("trips"), MOST_TRIPS),
            whole(fields.get("passed"), MOST_CALLS),
            author,
            reason,
        )

    def fields(self) -> dict[str, str]:
        """Return the record as it is stored."""
        numbers = {"generation": self.generation, "ends": self.ends_us, "trips": self.trips, "passed": self.passed}
        texts = {"v": VERSION, "state": self.state.value, "author": self.author, "reason": self.reason}
        return {**texts, **{name: str(number) for name, number in numbers.items()}}

    def remaining_us(self, now: int) -> int | None:
        """Return the microseconds until the state ends; None for never."""
        if self.state is CircuitState.CLOSED:
            return 0
        if self.state in MANUAL and not self.ends_us:
            return None
        return max(0, self.ends_us - now)

    def shared(self, now: int) -> SharedState:
        """Return the record as callers and subscribers get it."""
        texts = (unquote(self.author), unquote(self.reason))
        return SharedState(self.state, self.generation, self.remaining_us(now), self.trips, self.passed, *texts)


class OtherVersion(Damage):
    """The record was written by a version of this library with another format."""


def longest(state: CircuitState, policy: FleetPolicy) -> int:
    """Return how long a state may last under a policy, in microseconds."""
    limits = {CircuitState.OPEN: policy.max_open_us, CircuitState.HALF_OPEN: policy.lease_us}
    return limits.get(state, MOST_DURATION_US)
