"""The operations of a fleet store: immutable values, several of which form a batch."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from recloser._core import checks
from recloser.fleet._store.values import (
    MOST_CALLS,
    MOST_DURATION_US,
    MOST_GENERATION,
    OBSERVER,
    Action,
    FleetPolicy,
    FleetRule,
    ProbeResult,
    SharedState,
    short_text,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_NAME_BYTES: Final = 200
MOST_NAMESPACE_BYTES: Final = 100
_WORKER: Final = re.compile(r"[A-Za-z0-9_-]{1,32}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What all operations carry.

    Args:
        name: The breaker's name, 1 to 200 bytes of UTF-8; any characters.
        known: What the caller knows, with the time that is left now (`SharedState.later`). A store that knows less
            adopts it: the first caller restores a store that has lost its data.
        policy: The caller's numbers.

    Raises:
        TypeError: A field is of the wrong type.
        ValueError: A field is out of its range.
    """

    name: str
    known: SharedState = field(default_factory=SharedState)
    policy: FleetPolicy

    def __post_init__(self) -> None:
        """Refuse values that no store can carry out."""
        check_name("name", self.name, MOST_NAME_BYTES)
        _check_type("known", self.known, SharedState)
        _check_type("policy", self.policy, FleetPolicy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sync(Operation):
    """Reads the state: when joining, from time to time, and after an outage. By default it cuts nothing down."""

    policy: FleetPolicy = OBSERVER


@dataclass(frozen=True, slots=True, kw_only=True)
class Timely(Operation):
    """An operation that must not take effect late.

    Args:
        not_after_us: Instant of the server's clock, as estimated from the last `Reply.now_us`, after which the
            operation does nothing: a frozen server that runs it after the caller has given up grants nothing. 0 means
            no limit.
    """

    not_after_us: int = 0

    def __post_init__(self) -> None:
        """Refuse values that no store can carry out."""
        Operation.__post_init__(self)
        checks.count("not_after_us", self.not_after_us, least=0, most=MOST_GENERATION)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceOperation(Timely):
    """An operation with evidence for opening the fleet.

    Args:
        worker: Name of the worker's incarnation, see `new_worker_id()`; 1 to 32 letters, digits, `_` and `-`.
        closed_generation: The generation in which the calls were made. Evidence of an earlier one is refused.
    """

    worker: str
    closed_generation: int = 0

    def __post_init__(self) -> None:
        """Refuse values that no store can carry out."""
        Timely.__post_init__(self)
        _check_worker(self.worker)
        checks.count("closed_generation", self.closed_generation, least=0, most=MOST_GENERATION)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report(EvidenceOperation):
    """Adds calls to a rule's window; opens the fleet if the rule is met and `quorum` workers had a hit in it.

    Args:
        rule: The rule; each part of `a | b` is a report of its own.
        sequence: A number >= 1 that grows with each report of this worker about this breaker and rule. A report with
            a number that was counted before, or a smaller one, does not count again: if a reply is lost, it is safe to
            send its report again.
        hits: Failures or slow calls since the last report, 0 to `total`.
        total: Calls since the last report, 0 to 1 000 000 000.
    """

    rule: FleetRule
    sequence: int
    hits: int
    total: int

    def __post_init__(self) -> None:
        """Refuse values that no store can carry out."""
        EvidenceOperation.__post_init__(self)
        _check_type("rule", self.rule, FleetRule)
        checks.count("sequence", self.sequence, most=MOST_GENERATION)
        checks.count("total", self.total, least=0, most=MOST_CALLS)
        checks.count("hits", self.hits, least=0, most=self.total)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote(EvidenceOperation):
    """Says that this worker's own rule has opened it. The votes of `quorum` workers within `open_us` open the fleet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Acquire(Timely):
    """Asks for the lease of a probe. One caller gets it, once the reset timeout or the last lease has ended.

    The token of the lease is the new generation.

    Args:
        worker: Name of the worker's incarnation, as for `Vote`. It is the author while half-open, so that a worker that
            has lost the reply recognizes its own lease. May be empty.
    """

    worker: str = ""

    def __post_init__(self) -> None:
        """Refuse values that no store can carry out."""
        Timely.__post_init__(self)
        if self.worker != "":
            _check_worker(self.worker)


@dataclass(frozen=True, slots=True, kw_only=True)
class Renew(Timely):
    """Extends the lease of a probe to `lease_us` from now, if its token is current.

    Args:
        token: The generation in the reply to `Acquire`.
    """

    token: int

    def __post_init__(self) -> None:
        """Refuse values that no store can carry out."""
        Timely.__post_init__(self)
        checks.count("token", self.token, most=MOST_GENERATION)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result(Operation):
    """Reports how a probe ended, if its token is current.

    A success closes the fleet, or lets any worker run the next probe if more must succeed. A failure opens the fleet
    for longer. After a release, any worker may run the next probe at once.

    Args:
        token: The generation in the reply to `Acquire`.
        result: How the probe ended.
    """

    token: int
    result: ProbeResult

    def __post_init__(self) -> None:
        """Refuse values that no store can carry out."""
        Operation.__post_init__(self)
        checks.count("token", self.token, most=MOST_GENERATION)
        object.__setattr__(self, "result", ProbeResult(self.result))


@dataclass(frozen=True, slots=True, kw_only=True)
class Control(Timely):
    """Sets a manual state for the whole fleet, or ends it. Always takes effect.

    Args:
        action: Force open, disable, or reset to closed.
        for_us: How long the manual state lasts, in microseconds, > 0 and at most ten years; None for a state without an
            end, and for a reset. After this time, a forced breaker runs a probe, and a disabled one closes.
        author: Who does it, for people; at most 200 characters are kept.
        reason: Why, for people; at most 200 characters are kept.
    """

    policy: FleetPolicy = OBSERVER
    action: Action
    for_us: int | None = None
    author: str = ""
    reason: str = ""

    def __post_init__(self) -> None:
        """Refuse values that no store can carry out."""
        Timely.__post_init__(self)
        object.__setattr__(self, "action", Action(self.action))
        if self.for_us is not None:
            checks.count("for_us", self.for_us, most=MOST_DURATION_US)
            if self.action is Action.RESET:
                raise ValueError(f"for_us must be None for a reset, which has no end, not {self.for_us!r}")
        object.__setattr__(self, "author", short_text("author", self.author))
        object.__setattr__(self, "reason", short_text("reason", self.reason))


AnyOperation = Sync | Report | Vote | Acquire | Renew | Result | Control


def _check_worker(worker: object) -> None:
    _check_type("worker", worker, str)
    if not _WORKER.fullmatch(str(worker)):
        raise ValueError(f"worker must be 1 to 32 letters, digits, _ and -, not {worker!r}")


def check_batch(operations: Sequence[AnyOperation]) -> tuple[AnyOperation, ...]:
    """Return a batch as a tuple; refuse anything else."""
    if not isinstance(operations, tuple | list):
        raise TypeError(f"operations must be a list or a tuple, not {operations!r}")
    for operation in operations:
        if not isinstance(operation, AnyOperation):
            raise TypeError(
                f"operations must hold Sync, Report, Vote, Acquire, Renew, Result, Control, not {operation!r}"
            )
    return tuple(operations)


def check_name(argument: str, value: object, most: int) -> str:
    """Return a name as it appears in keys and messages: letters, digits, and `-._~%`."""
    _check_type(argument, value, str)
    try:
        size = len(str(value).encode())
    except UnicodeEncodeError:
        raise ValueError(f"{argument} must be text that UTF-8 can encode, not {value!r}") from None
    if not 1 <= size <= most:
        raise ValueError(f"{argument} must be 1 to {most} bytes of UTF-8, not {size}: {str(value)[:50]!r}")
    return quote(str(value), safe="")


def _check_type(argument: str, value: object, wanted: type) -> None:
    if not isinstance(value, wanted):
        raise TypeError(f"{argument} must be a {wanted.__name__}, not {value!r}")
