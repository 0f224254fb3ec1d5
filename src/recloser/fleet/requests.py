"""What a breaker wants done at the store: an operation, and what follows from its reply."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from recloser.fleet.store.operations import AnyOperation
    from recloser.fleet.store.values import Reply


class StoreRequest(NamedTuple):
    """One operation on its way.

    Attributes:
        operation: What the store is told.
        done: Called with the reply.
        failed: Called if there is none; whether the operation took effect is not known.
    """

    operation: AnyOperation
    done: Callable[[Reply], None]
    failed: Callable[[], None]


def nothing() -> None:
    """Follow from a request that failed, and that is made again anyhow."""


class RequestSource(Protocol):
    """Who has requests for the store."""

    @property
    def has_work(self) -> bool:
        """Whether `work()` has something to do."""
        ...

    @property
    def is_urgent(self) -> bool:
        """Whether `work()` has something to do that can't wait."""
        ...

    def work(self, now: float) -> list[StoreRequest]:
        """Return what is to be told to the store now: nothing else of this source goes into the same batch."""
        ...

    def renewal(self, token: int) -> StoreRequest | None:
        """Return the request that extends a lease; None if its probe is over."""
        ...


class WorkerPort(Protocol):
    """The worker, as its memberships see it."""

    identity: str
    """Name of this incarnation of the worker."""
    quorum: int
    lease_seconds: float

    @property
    def is_up(self) -> bool:
        """Whether the store is reachable."""
        ...

    @property
    def is_here(self) -> bool:
        """Whether the caller runs in the worker's event loop."""
        ...

    @property
    def op_timeout_seconds(self) -> float:
        """Longest wait for the store in seconds."""
        ...

    def now(self) -> float:
        """Return the seconds of the worker's clock; in its event loop."""
        ...

    def not_after_us(self) -> int:
        """Return the instant of the server's clock at which a caller gives up who asks now; 0 if it is not known."""
        ...

    def next_sequence(self) -> int:
        """Return a number larger than any before."""
        ...

    def fraction(self) -> float:
        """Return a random number from 0 to 1."""
        ...

    def schedule(self, source: RequestSource, *, urgent: bool) -> None:
        """Have the work of a breaker fetched soon, or at once; for any thread."""
        ...

    def renew(self, source: RequestSource, token: int, seconds: float) -> None:
        """Renew a lease as long as its probe is under way, at most for the given time."""
        ...
