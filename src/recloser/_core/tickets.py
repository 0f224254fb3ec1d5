"""Tickets, which admitted calls hold until they are settled, and half-open episodes.

The ticket of a call through a closed or disabled breaker is the `Epoch` that admits it; that of a probe is a `Probe`,
and that of a call that only shadow mode admits a `ShadowCall`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol

from recloser._core.defaults import slow_call_limit
from recloser._core.usual import FIRST_SAMPLES, SAMPLE_EVERY
from recloser._core.windows import NEVER

if TYPE_CHECKING:
    from collections.abc import Callable

    from recloser._core.events import Transition
    from recloser._core.outcomes import Outcome
    from recloser._core.settings import Settings


class Gate(Protocol):
    """The permits of one half-open episode."""

    def take(self) -> bool:
        """Take a permit if one is free; return whether one was."""
        ...

    def give(self) -> None:
        """Give a permit back."""
        ...


class Epoch:
    """One generation: the calls that it admits count only while it lasts.

    `successes` and `failures` are totals since the breaker's creation, without probes; each epoch continues those of
    the one before, and its run of failures. `run_limit` is the length of the run that trips the breaker, if that is
    its only rule; else 0.

    Some calls are samples of how long successes take. As soon as `successes` reaches `sample_at`, the next call is one;
    `is_start_due` says that its start has to be read. A success that makes `successes` reach `look_at` is not only
    counted.
    """

    __slots__ = (
        "edge",
        "failures",
        "first_samples",
        "first_starts",
        "generation",
        "is_start_due",
        "look_at",
        "run_after",
        "run_from",
        "run_limit",
        "sample_at",
        "successes",
    )

    def __init__(self, generation: int, successes: int, failures: int) -> None:
        self.generation: int = generation
        self.successes: int = successes
        self.failures: int = failures
        self.run_after: int = successes
        self.run_from: int = failures
        self.run_limit: int = 0
        self.edge: float = NEVER
        self.first_samples: int = FIRST_SAMPLES
        self.first_starts: int = 8 * FIRST_SAMPLES
        self.is_start_due: bool = True
        self.sample_at: int = successes + 1
        self.look_at: int = successes + 1

    @property
    def observed(self) -> bool:
        """Whether the trip rule has to see each success that ends at `edge` or later."""
        return self.edge != NEVER

    def watch(self, edge: float) -> None:
        """Set from when on the trip rule has to see each success."""
        self.edge = edge
        self.look_at = 0 if edge != NEVER else self.sample_at

    def schedule_sample(self, count: int) -> None:
        """Note a sample, and set when the next one is due.

        Args:
            count: The total of successes, that of the sample included.
        """
        self.first_samples = max(0, self.first_samples - 1)
        self.is_start_due = self.first_samples > 0
        self._sample_at(count + (1 if self.first_samples else SAMPLE_EVERY))

    def skip_sample(self) -> None:
        """Leave out a sample, because nobody needs it."""
        self._sample_at(self.successes + SAMPLE_EVERY)

    def _sample_at(self, count: int) -> None:
        self.sample_at = count
        self.watch(self.edge)

    def next(self) -> Epoch:
        """Return the next generation, which continues the totals and the run."""
        following = Epoch(self.generation + 1, self.successes, self.failures)
        following.run_after, following.run_from = self.run_after, self.run_from
        return following


class Probe:
    """The ticket of one probe.

    `overran` is the episode in which it ran out of time, if it has. `successor` is the generation that it has brought
    about by passing, if it has: what remains of its call belongs to that one. `loop` is the event loop that its
    call runs in, if it runs in one.
    """

    failures: ClassVar[int] = 0
    """Calls inside a probe are part of it and count no failures."""
    __slots__ = ("admitted_at", "epoch", "gate", "loop", "overran", "settled", "successor", "token")

    def __init__(self, epoch: Epoch, gate: Gate, admitted_at: float, token: int = 0) -> None:
        self.epoch: Epoch = epoch
        self.gate: Gate = gate
        self.admitted_at: float = admitted_at
        self.token: int = token
        self.loop: object = None
        self.overran: Episode | None = None
        self.settled: bool = False
        self.successor: Epoch | None = None

    @property
    def generation(self) -> int:
        """The fleet's token if a fleet has granted the probe, else the generation of its epoch."""
        return self.token or self.epoch.generation


class ShadowCall:
    """The ticket of a call that would have been rejected, and that only shadow mode admits; it changes no state."""

    __slots__ = ("admitted_at", "epoch")

    generation: ClassVar[int] = 0
    """No generation has admitted the call."""
    failures: ClassVar[int] = 0
    """It counts apart from the failures of a generation."""

    def __init__(self, epoch: Epoch, admitted_at: float) -> None:
        self.epoch: Epoch = epoch
        self.admitted_at: float = admitted_at


Ticket = Epoch | Probe | ShadowCall
"""What an admitted call holds until it is settled."""

UNCOUNTED = Epoch(0, 0, 0)
"""The ticket of a call that goes through without being counted, because it comes from inside a running probe."""
NEEDS_LEASE = Epoch(0, 0, 0)
"""Stands for a ticket: the caller can ask the fleet for the lease of a probe."""


class Episode:
    """One half-open period; it keeps the settings with which it started."""

    __slots__ = ("gate", "limit_seconds", "passed", "probes", "settings", "slow_call_seconds")

    def __init__(self, settings: Settings, gate: Gate, limit_seconds: float) -> None:
        self.settings: Settings = settings
        self.gate: Gate = gate
        self.limit_seconds: float = limit_seconds
        self.slow_call_seconds: float = slow_call_limit(settings.trip_when)
        self.passed: int = 0
        self.probes: list[Probe] = []

    def renew(self, new_gate: Callable[[int], Gate]) -> None:
        """Continue with a new gate, in which only the permits of the running probes are taken."""
        gate = new_gate(self.settings.max_probes)
        for _ in self.probes:
            gate.take()
        self.gate = gate
        for probe in self.probes:
            probe.gate = gate


class ProbeEnd(NamedTuple):
    """How a probe ended: its outcome, when, after how many seconds, and for how long it opens the breaker."""

    probe: Probe
    outcome: Outcome
    now: float
    duration: float | None
    cancelled: bool
    open_seconds: float | None


class Expiry(NamedTuple):
    """A probe that has run out of time, its outcome, and the transition that it caused."""

    probe: Probe
    outcome: Outcome
    error: str | None
    transition: Transition


class Admission(NamedTuple):
    """The answer to a call: its ticket, or None if it is rejected, and what happened during the admission."""

    ticket: Ticket | None
    expired: Expiry | None = None
    reopened: Transition | None = None
