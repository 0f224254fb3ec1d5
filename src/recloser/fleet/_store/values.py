"""The values that go to a fleet store and come back: the shared state, the policy, and how an operation ended."""

from __future__ import annotations

import dataclasses
import secrets
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final

from recloser._core import checks
from recloser._core.states import CircuitState

MOST_DURATION_US: Final = 10 * 366 * 24 * 3600 * 1_000_000
"""The longest duration: ten years."""
MOST_GENERATION: Final = 2**53 - 2
"""The largest generation: a double holds it and the next one exactly."""
MOST_WORKERS: Final = 100
MOST_BUCKETS: Final = 100
MOST_TRIPS: Final = 1_000
MOST_CALLS: Final = 1_000_000_000
MOST_REASON: Final = 200
"""Characters of a reason or an author; longer ones are cut."""


def microseconds(seconds: float) -> int:
    """Return a duration of seconds in the microseconds that a store counts in, at most `MOST_DURATION_US`."""
    return min(round(seconds * 1_000_000), MOST_DURATION_US)


def new_worker_id() -> str:
    """Return a random name for one incarnation of a worker: 64 bits. A process ID would be used again."""
    return secrets.token_urlsafe(8)


class Code(IntEnum):
    """How an operation ended."""

    REFUSED = 0
    """Nothing was done: the operation does not apply in this state, or its token or generation is not current."""
    DONE = 1
    """The operation took effect."""
    DUPLICATE = 2
    """A report with this or a later `sequence` was counted before."""
    TOO_LATE = 3
    """The operation ran after its `not_after_us`; nothing was done."""
    DAMAGED = 4
    """The stored record is invalid or of another version: `Reply.problem` says which. Nothing else was done."""
    IMPLAUSIBLE = 5
    """The caller's generation is more than a day ahead of the server's clock; nothing was done. The caller must forget
    what it knows and take the state of the reply, although its generation is smaller."""


class ProbeResult(StrEnum):
    """How a probe ended."""

    SUCCEEDED = "ok"
    FAILED = "fail"
    RELEASED = "release"
    """Neither: cancelled or ignored. Another worker may run a probe at once."""


class Action(StrEnum):
    """What an operator does to the whole fleet."""

    FORCE_OPEN = "forced_open"
    DISABLE = "disabled"
    RESET = "closed"


@dataclass(frozen=True, slots=True)
class SharedState:
    """The state of one breaker in a fleet: a last-writer-wins register, ordered by its generation.

    Args:
        state: The state.
        generation: Larger after every transition, 0 if there has been none. In half-open it is the lease's token.
        remaining_us: Microseconds until a reset timeout, a lease or a manual state ends, counted from the reply or the
            message; 0 if it has ended, and while closed; None for a manual state without an end.
        trips: How many times in a row the breaker has opened: the attempt that determines the next reset timeout.
        passed: Probes that have succeeded since it opened.
        author: Who set a manual state; in half-open the worker that runs the probe. At most 200 characters are
            kept.
        reason: Why a manual state was set; at most 200 characters are kept.

    Raises:
        TypeError: A field is of the wrong type.
        ValueError: A field is out of its range.
    """

    state: CircuitState = CircuitState.CLOSED
    generation: int = 0
    remaining_us: int | None = 0
    trips: int = 0
    passed: int = 0
    author: str = ""
    reason: str = ""

    def __post_init__(self) -> None:
        """Refuse values that can't be stored."""
        object.__setattr__(self, "state", CircuitState(self.state))
        checks.count("generation", self.generation, least=0, most=MOST_GENERATION)
        if self.remaining_us is not None:
            checks.count("remaining_us", self.remaining_us, least=0, most=MOST_DURATION_US)
        elif self.state not in MANUAL:
            raise ValueError(f"remaining_us must be given unless the state is manual, not None in {self.state.value}")
        if self.remaining_us and self.state is CircuitState.CLOSED:
            raise ValueError(f"remaining_us must be 0 in closed, which has no end, not {self.remaining_us!r}")
        checks.count("trips", self.trips, least=0, most=MOST_TRIPS)
        checks.count("passed", self.passed, least=0, most=MOST_CALLS)
        object.__setattr__(self, "author", short_text("author", self.author))
        object.__setattr__(self, "reason", short_text("reason", self.reason))

    def later(self, elapsed_us: int) -> SharedState:
        """Return this state with the time that is left later on. Callers pass it to their next operation.

        Args:
            elapsed_us: Microseconds since the state was received, by the receiver's monotonic clock, >= 0.
        """
        if not self.remaining_us:
            return self
        return dataclasses.replace(self, remaining_us=max(0, self.remaining_us - elapsed_us))


MANUAL: Final = frozenset({CircuitState.FORCED_OPEN, CircuitState.DISABLED})


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetPolicy:
    """The numbers of a breaker that a store needs. If workers differ, those of the caller apply.

    Args:
        open_us: First reset timeout in microseconds, with its jitter, 0 to ten years.
        max_open_us: Longest reset timeout in microseconds, >= `open_us`. A stored or known one is cut down to it.
        multiplier: Growth of the reset timeout per failed attempt, finite and >= 1.
        lease_us: How long a probe is exclusive without being renewed, in microseconds, > 0 and at most ten years. A
            stored or known lease is cut down to it: use the same value in all workers.
        quorum: Distinct workers with evidence that open the fleet, 1 to 100.
        success_threshold: Probes that must succeed before the fleet closes, >= 1.

    Raises:
        TypeError: A field is of the wrong type.
        ValueError: A field is out of its range.
    """

    open_us: int = 60_000_000
    max_open_us: int = 60_000_000
    multiplier: float = 1.0
    lease_us: int = 5_000_000
    quorum: int = 2
    success_threshold: int = 1

    def __post_init__(self) -> None:
        """Refuse figures outside their ranges."""
        checks.count("open_us", self.open_us, least=0, most=MOST_DURATION_US)
        checks.count("max_open_us", self.max_open_us, least=self.open_us, most=MOST_DURATION_US)
        object.__setattr__(self, "multiplier", checks.number_at_least("multiplier", self.multiplier, 1))
        checks.count("lease_us", self.lease_us, most=MOST_DURATION_US)
        checks.count("quorum", self.quorum, most=MOST_WORKERS)
        checks.count("success_threshold", self.success_threshold, most=MOST_CALLS)


OBSERVER: Final = FleetPolicy(max_open_us=MOST_DURATION_US, lease_us=MOST_DURATION_US)
"""For reading the state of a breaker, or controlling it by hand, without its policy: cuts nothing down."""


class HitKind(StrEnum):
    """What a rule over a time window counts as a hit."""

    FAILURES = "f"
    SLOW_CALLS = "s"


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetRule:
    """A rule over a time window, evaluated on the sums of all workers.

    The rule is met when the window holds at least `minimum_calls` calls, at least `count` of them are hits, and the
    share of hits is at least `rate`. `FailureCount(5)` is `count=5`, and `FailureRate(0.5, minimum_calls=20)` is
    `rate=0.5, minimum_calls=20`.

    Args:
        hit_kind: What counts as a hit: failures or slow calls. Rules that differ in it, in window or in buckets count
            separately.
        window_us: Length of the window in microseconds, at least one per bucket and at most ten years.
        buckets: Parts of the window, 1 to 100.
        minimum_calls: Calls below which the rule is not met, >= 1.
        count: Hits below which the rule is not met, >= 1.
        rate: Share of hits below which the rule is not met, 0 to 1.

    Raises:
        TypeError: A field is of the wrong type.
        ValueError: A field is out of its range.
    """

    hit_kind: HitKind = HitKind.FAILURES
    window_us: int
    buckets: int = 10
    minimum_calls: int = 1
    count: int = 1
    rate: float = 0.0

    def __post_init__(self) -> None:
        """Refuse figures outside their ranges."""
        object.__setattr__(self, "hit_kind", HitKind(self.hit_kind))
        checks.count("buckets", self.buckets, most=MOST_BUCKETS)
        checks.count("window_us", self.window_us, least=self.buckets, most=MOST_DURATION_US)
        checks.count("minimum_calls", self.minimum_calls, most=MOST_CALLS)
        checks.count("count", self.count, most=MOST_CALLS)
        object.__setattr__(self, "rate", checks.fraction("rate", self.rate))

    @property
    def tag(self) -> str:
        """The name that the rule's counts are stored under."""
        return f"{self.hit_kind.value}{self.window_us}/{self.buckets}"


@dataclass(frozen=True, slots=True)
class Reply:
    """The reply of a store to one operation.

    Args:
        code: How the operation ended.
        shared: The state after it; with `Code.DAMAGED`, the state that the caller knew.
        now_us: The server's clock, in microseconds since the epoch; the base of the next `not_after_us`.
        problem: With `Code.DAMAGED`, what was wrong with the stored record, for a log; else None. It holds nothing of
            what was stored.
    """

    code: Code
    shared: SharedState
    now_us: int
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """A transition of a breaker, as subscribers receive it.

    Args:
        name: The breaker's name.
        shared: Its state after the transition.
    """

    name: str
    shared: SharedState


def short_text(argument: str, value: object) -> str:
    """Return a text for people, cut to 200 characters; characters that can't be encoded are replaced."""
    if not isinstance(value, str):
        raise TypeError(f"{argument} must be a string, not {value!r}")
    return value[:MOST_REASON].encode("utf-8", "replace").decode("utf-8")
