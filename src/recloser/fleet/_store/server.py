"""A server in memory, which several stores share: its data, its clock, and faults that affect all of them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Protocol

from recloser._core import checks
from recloser._core.slots import check_synchronous, checked
from recloser.fleet._store.keyspace import Keyspace
from recloser.fleet._store.reference import Script
from recloser.fleet._store.wire import Namespace, write_message

if TYPE_CHECKING:
    from collections.abc import Callable

    from recloser.fleet._store.operations import AnyOperation
    from recloser.fleet._store.values import Reply, SharedState


class Subscriber(Protocol):
    """A store, as a server sees it."""

    def receive(self, channel: str, data: bytes) -> None:
        """Take a message from the server."""
        ...

    def disconnect(self) -> None:
        """Lose the current connections."""
        ...


EPOCH_US: Final = 1_800_000_000_000_000
"""The first instant of the clock: a day in 2027."""


class InMemoryServer:
    """What the stores of one fleet share: the data, the clock, and faults that affect all of them.

    Args:
        clock: Returns the seconds of a monotonic clock, as for a breaker; None means `time.monotonic`. Pass a
            `ManualClock` for tests without waiting.

    Attributes:
        keyspace: The data as Redis would keep it.
    """

    def __init__(self, *, clock: Callable[[], float] | None = None) -> None:
        clock = time.monotonic if clock is None else clock
        if not callable(clock):
            raise TypeError(f"clock must be a function that returns seconds, not {clock!r}")
        check_synchronous("clock", clock, "function that returns seconds")
        self._clock = clock
        self._epoch_us = EPOCH_US
        self.keyspace: Keyspace = Keyspace()
        self._stores: set[Subscriber] = set()
        self._stopped = False
        self._frozen: list[Callable[[], object]] | None = None

    @property
    def now_us(self) -> int:
        """The server's clock, in microseconds since the epoch."""
        return self._epoch_us + round(checked("clock", self._clock()) * 1_000_000)

    def step_clock(self, seconds: float) -> None:
        """Set the server's clock forward, or back by a negative number.

        Args:
            seconds: By how many seconds; finite.

        Raises:
            TypeError: The argument is no number.
            ValueError: The number is not finite.
        """
        self._epoch_us += round(checks.number_at_least("seconds", seconds, -EPOCH_US / 1_000_000) * 1_000_000)

    def stop(self) -> None:
        """Stop: the stores lose their connections and get no new ones. The data stays."""
        self._stopped = True
        for store in tuple(self._stores):
            store.disconnect()

    def start(self) -> None:
        """Start again after `stop()`."""
        self._stopped = False

    def freeze(self) -> None:
        """Stop answering, like a process that was suspended. `thaw()` carries out what is sent meanwhile."""
        self._frozen = [] if self._frozen is None else self._frozen

    def thaw(self) -> None:
        """Answer again, and carry out what was sent meanwhile. Nobody waits for its replies any more."""
        waiting, self._frozen = self._frozen or [], None
        for work in waiting:
            work()

    def flush(self) -> None:
        """Lose all data."""
        self.keyspace = Keyspace()

    def evict(self, name: str, *, namespace: str = "default", record: bool = False, evidence: bool = False) -> None:
        """Lose the record or the evidence of a breaker, as a server does whose memory is full.

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
        """Return a copy of the data, like the data of a replica that then falls behind."""
        return self.keyspace.copy()

    def restore(self, keyspace: Keyspace) -> None:
        """Go on with other data, as if a stale replica took over.

        Args:
            keyspace: Data that `backup()` has returned.
        """
        self.keyspace = keyspace.copy()

    def publish(self, data: bytes, *, namespace: str = "default") -> None:
        """Publish data to all subscribers of a namespace, also data that no store would publish.

        Args:
            data: The message.
            namespace: The fleet's namespace.
        """
        channel = Namespace(namespace).channel
        for store in tuple(self._stores):
            store.receive(channel, data)

    def reach(self, work: Callable[[], list[Reply]]) -> list[Reply] | None:
        """Carry out a store's operations; while frozen, keep them for later and return None."""
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

    def join(self, store: Subscriber) -> None:
        """Let a store receive what is published from now on."""
        self._stores.add(store)

    def run(self, namespace: Namespace, operation: AnyOperation) -> Reply:
        """Carry out an operation, and publish what it changed."""
        now = self.now_us
        self.keyspace.sweep(now)
        published: list[SharedState] = []
        reply = Script(self.keyspace, namespace.keys(operation.name), now, published.append).run(operation)
        for shared in published:
            data = write_message(operation.name, shared).encode("ascii")
            for store in tuple(self._stores):
                store.receive(namespace.channel, data)
        return reply
