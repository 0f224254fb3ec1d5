"""What a breaker asks of the store: operations, what follows from their replies, and callers that wait for a lease."""

from __future__ import annotations

from dataclasses import replace
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import anyio

from recloser.fleet._policies import policy_of
from recloser.fleet._store.operations import Acquire, Renew, Report, Result, Sync, Vote

if TYPE_CHECKING:
    from collections.abc import Callable
    from weakref import ref

    from recloser._breaker.engine import Engine
    from recloser._core.fleet import Grant
    from recloser._core.settings import Settings
    from recloser.fleet._known import KnownState
    from recloser.fleet._reporting import PendingReport
    from recloser.fleet._store.operations import AnyOperation
    from recloser.fleet._store.values import FleetPolicy, ProbeResult, Reply


class Pending(Enum):
    """What a membership still has to send, in the order in which it is sent."""

    PROOF = auto()
    """A request for the lease, to close the fleet too: this breaker has closed on its own evidence."""
    VOTE = auto()
    """A vote: this breaker's own rule has opened it."""
    SYNC = auto()
    """A question for the state."""


class LeaseRequest:
    """A caller that waits for the lease of a probe."""

    __slots__ = ("_answered", "grant")

    def __init__(self) -> None:
        self._answered = anyio.Event()
        self.grant: Grant | None = None

    @property
    def is_answered(self) -> bool:
        """Whether the caller knows whether it runs the probe."""
        return self._answered.is_set()

    def answer(self, grant: Grant | None) -> None:
        """Let the caller go on: with the lease, or without."""
        self.grant = grant
        self._answered.set()

    async def wait(self) -> None:
        """Wait for the answer."""
        await self._answered.wait()


class EndedProbe(NamedTuple):
    """A probe that has ended, and whose lease the fleet still counts as held.

    Attributes:
        token: The token of its lease.
        result: How it ended.
        is_proof: Whether the breaker had closed on its own evidence before: one success closes the fleet then.
    """

    token: int
    result: ProbeResult
    is_proof: bool = False


class StoreRequest(NamedTuple):
    """One operation to be carried out by the store.

    Attributes:
        operation: The operation.
        done: Called with its reply.
        failed: Called if there is no reply; it is not known whether the operation took effect.
    """

    operation: AnyOperation
    done: Callable[[Reply], object]
    failed: Callable[[], None]


def ignore_failure() -> None:
    """Do nothing about a request that failed: it is made again anyway."""


class RequestSource(Protocol):
    """What has requests for the store: the membership of a breaker."""

    @property
    def has_requests(self) -> bool:
        """Whether there is anything to send."""
        ...

    @property
    def is_urgent(self) -> bool:
        """Whether there is anything to send that can't wait."""
        ...

    def next_requests(self, now: float) -> list[StoreRequest]:
        """Return what to send now. Nothing else of this source belongs in the same batch."""
        ...

    def renewal(self, token: int) -> StoreRequest | None:
        """Return the request that extends a lease; None if its probe has ended."""
        ...


class WorkerPort(Protocol):
    """The worker of a process, as its memberships see it."""

    identity: str
    """Name of this incarnation of the worker."""
    quorum: int
    lease_seconds: float

    @property
    def is_reachable(self) -> bool:
        """Whether the store is reachable."""
        ...

    @property
    def is_in_loop(self) -> bool:
        """Whether the caller runs in the worker's event loop."""
        ...

    @property
    def op_timeout_seconds(self) -> float:
        """Longest wait for the store in seconds."""
        ...

    def now(self) -> float:
        """Return the seconds of the worker's clock. Call it in the worker's event loop."""
        ...

    def not_after_us(self) -> int:
        """Return the server's time at which a caller that asks now gives up; 0 if it is not known."""
        ...

    def next_sequence(self) -> int:
        """Return a number larger than any before."""
        ...

    def fraction(self) -> float:
        """Return a random number from 0 to 1."""
        ...

    def schedule(self, source: RequestSource, *, urgent: bool) -> None:
        """Have the requests of a source sent soon, or at once. Any thread may call it."""
        ...

    def renew(self, source: RequestSource, token: int, seconds: float) -> None:
        """Renew a lease while its probe runs, for at most the given time."""
        ...


class OperationBuilder:
    """Builds the operations of one breaker from what the breaker and the worker know at that moment.

    Args:
        name: The breaker's name.
        engine: Returns the breaker's engine, or None once it is gone.
        settings: The breaker's settings; those that it had last are used once it is gone.
        worker: The worker of this process.
        known: What is known of the fleet's state.
    """

    __slots__ = ("_engine", "_known", "_name", "_settings", "_worker")

    def __init__(
        self, name: str, engine: ref[Engine], settings: Settings, worker: WorkerPort, known: KnownState
    ) -> None:
        self._name = name
        self._engine = engine
        self._settings = settings
        self._worker = worker
        self._known = known

    def sync(self) -> Sync:
        """Return the question for the state."""
        return Sync(name=self._name, known=self._known.current())

    def acquire(self) -> Acquire:
        """Return the request for the lease."""
        worker = self._worker
        return Acquire(**self._common(), not_after_us=worker.not_after_us(), worker=worker.identity)

    def renew(self, token: int) -> Renew:
        """Return the extension of a lease."""
        return Renew(**self._common(), not_after_us=self._worker.not_after_us(), token=token)

    def result(self, ended: EndedProbe) -> Result:
        """Return the result of a probe."""
        common = self._common()
        if ended.is_proof:
            common["policy"] = replace(common["policy"], success_threshold=1)
        return Result(**common, token=ended.token, result=ended.result)

    def vote(self, open_seconds: float) -> Vote:
        """Return the vote for opening the fleet for the given time."""
        return Vote(**self._evidence(self._known.shared.generation, open_seconds))

    def report(self, pending: PendingReport, open_seconds: float) -> Report:
        """Return a report of calls, which may open the fleet for the given time."""
        return Report(
            **self._evidence(pending.closed_generation, open_seconds),
            rule=pending.tally.rule,
            sequence=pending.sequence,
            hits=pending.delta.hits,
            total=pending.delta.total,
        )

    def _evidence(self, closed_generation: int, open_seconds: float) -> dict[str, Any]:
        """Return what all operations carry that may open the fleet."""
        worker = self._worker
        return {
            **self._common(open_seconds),
            "not_after_us": worker.not_after_us(),
            "worker": worker.identity,
            "closed_generation": closed_generation,
        }

    def _common(self, open_seconds: float | None = None) -> dict[str, Any]:
        """Return what all operations carry that change anything."""
        return {"name": self._name, "known": self._known.current(), "policy": self._policy(open_seconds)}

    def _policy(self, open_seconds: float | None) -> FleetPolicy:
        engine, worker = self._engine(), self._worker
        if engine is not None:
            machine = engine.machine
            self._settings = machine.settings
            if open_seconds is None:
                open_seconds = machine.open_seconds or machine.settings.backoff.open_seconds(1, machine.random)
        return policy_of(self._settings, open_seconds or 0.0, quorum=worker.quorum, lease_seconds=worker.lease_seconds)
