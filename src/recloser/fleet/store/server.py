"""A server in memory, which several stores share: its data, its clock, and what befalls them all."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Protocol

from recloser._core import checks
from recloser.fleet.store.keyspace import Keyspace
from recloser.fleet.store.reference import Script
from recloser.fleet.store.wire import Namespace, write_message

if TYPE_CHECKING:
    from collections.abc import Callable

    from recloser.fleet.store.operations import AnyOperation
    from recloser.fleet.store.values import Reply, SharedState


class Guest(Protocol):
    """What a server tells a store."""

    def receive(self, channel: str, data: bytes) -> None:
        """Take a message from the server."""
        ...

    def disconnect(self) -> None:
        """Lose the connections that there are."""
        ...


EPOCH_US: Final = 1_800_000_000_000_000
"""Where the clock begins: some day in 2027."""


class InMemoryServer:
    """What the stores of one fleet share: the data, the clock, and what befalls them all.

    Args:
        clock: Seconds of a monotonic clock, as a breaker's; hand over a `ManualClock` for tests without waiting.

    Attributes:
        keyspace: The data, as it would lie in Redis.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        if not callable(clock):
            raise TypeError(f"clock must be a function that returns seconds, not {clock!r}")
        self._clock = clock
        self._epoch_us = EPOCH_US
        self.keyspace = Keyspace()
        self._stores: set[Guest] = set()
        self._stopped = False
        self._frozen: list[Callable[[], object]] | None = None

    @property
    def now_us(self) -> int:
        """The server's clock, microseconds since the epoch."""
        return self._epoch_us + round(self._clock() * 1_000_000)

    def step_clock(self, seconds: float) -> None:
        """Set the server's clock forward, or back with a negative number.

        Args:
            seconds: How far; finite.

        Raises:
            TypeError: It is no number.
            ValueError: It is not finite.
        """
        self._epoch_us += round(checks.number_at_least("seconds", seconds, -EPOCH_US / 1_000_000) * 1_000_000)

    def stop(self) -> None:
        """Stop: connections are lost, and there are none to be had; the data stays."""
        self._stopped = True
        for store in tuple(self._stores):
            store.disconnect()

    def start(self) -> None:
        """Start again after `stop()`."""
        self._stopped = False

    def freeze(self) -> None:
        """Answer nobody, as a process that was stopped; what is sent meanwhile is carried out by `thaw()`."""
        self._frozen = [] if self._frozen is None else self._frozen

    def thaw(self) -> None:
        """Go on, and carry out what was sent meanwhile; nobody waits for its replies."""
        waiting, self._frozen = self._frozen or [], None
        for work in waiting:
            work()

    def flush(self) -> None:
        """Lose all data."""
        self.keyspace = Keyspace()

    def evict(self, name: str, *, namespace: str = "default", record: bool = False, evidence: bool = False) -> None:
        """Lose the record or the evidence of a breaker, as a full server does.

        Args:
            name: The breaker's name.
            namespace: The fleet's namespace.
            record: Whether to lose the record.
            evidence: Whether to lose the evidence.
        """
        for key, lost in zip(Namespace(namespace).keys(name), (record, evidence), strict=True):
            if lost:
                self.keyspace.delete(key)

    def backup(self) -> Keyspace:
        """Return a copy of the data, as a replica holds it that then falls behind."""
        return self.keyspace.copy()

    def restore(self, keyspace: Keyspace) -> None:
        """Go on with other data, as when a stale replica takes over.

        Args:
            keyspace: What `backup()` returned.
        """
        self.keyspace = keyspace.copy()

    def publish(self, data: bytes, *, namespace: str = "default") -> None:
        """Tell all subscribers of a namespace something, also what no store would say.

        Args:
            data: The message.
            namespace: The fleet's namespace.
        """
        channel = Namespace(namespace).channel
        for store in tuple(self._stores):
            store.receive(channel, data)

    def reach(self, work: Callable[[], list[Reply]]) -> list[Reply] | None:
        """Carry out a store's operations, or keep them while frozen and return None."""
        if self._frozen is not None:
            self._frozen.append(work)
            return None
        return work()

    @property
    def is_stopped(self) -> bool:
        """Whether it was stopped."""
        return self._stopped

    @property
    def is_frozen(self) -> bool:
        """Whether it was frozen."""
        return self._frozen is not None

    def join(self, store: Guest) -> None:
        """Tell a store of what happens from now on."""
        self._stores.add(store)

    def run(self, namespace: Namespace, operation: AnyOperation) -> Reply:
        """Carry out an operation, and tell the subscribers."""
        now = self.now_us
        self.keyspace.sweep(now)
        told: list[SharedState] = []
        reply = Script(self.keyspace, namespace.keys(operation.name), now, told.append).run(operation)
        for shared in told:
            data = write_message(operation.name, shared).encode("ascii")
            for store in tuple(self._stores):
                store.receive(namespace.channel, data)
        return reply
