"""The worker of a process: its tasks at the store, for all breakers of the fleet.

A session lasts as long as the store is reachable. Its connection and its subscription stand, it has asked for every
breaker's state, and three tasks run:

- The reader applies the messages of other workers.
- The poller asks for every breaker's state once per poll interval, which makes up for lost messages.
- The flusher sends the requests of breakers. Urgent ones (votes, lease requests and results of probes) go at once, and
  take reports along. Reports go at once after a pause, then one batch per `report_gap_seconds` on average. At most two
  batches are in flight.

Any failure ends the session. Each breaker then decides alone, and the worker connects again after a random time of at
most 50 ms, 100 ms and so on up to 1.5 s ("full jitter": Brooker, Exponential Backoff And Jitter, 2015).
"""

from __future__ import annotations

import itertools
import logging
import math
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

import anyio
from anyio import TASK_STATUS_IGNORED

from recloser._breaker.log import log
from recloser._breaker.loop_bound import LoopEvent, running_token
from recloser._core.outcomes import leaves
from recloser.errors import FleetError, FleetStoreError
from recloser.fleet._store.values import new_worker_id

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence
    from random import Random

    from anyio.abc import TaskGroup, TaskStatus

    from recloser.fleet._membership import Membership
    from recloser.fleet._requests import RequestSource, StoreRequest
    from recloser.fleet._store.operations import AnyOperation
    from recloser.fleet._store.values import Message, Reply
    from recloser.fleet.store import FleetStore

BATCH = 100
"""Operations in one round trip; more would hold up urgent ones."""
MOST_IN_FLIGHT = 2
FIRST_RETRY_SECONDS = 0.05
LONGEST_RETRY_SECONDS = 1.5
MOST_DOUBLINGS = 10
BATCHES_AT_ONCE = 5
SPREAD_SECONDS = 1.0
"""The questions of many breakers are spread over this time, so that they don't overload a store that is back."""
STOPPED = "not running"
NOT_RUNNING = "the fleet is not running in this event loop; use it inside `async with fleet:`"


class Worker:
    """The tasks of one process.

    Args:
        quorum: Distinct workers with evidence that open the fleet.
        lease_seconds: How long a probe is exclusive without being renewed.
        poll_seconds: How often each breaker's state is asked for.
        report_gap_seconds: Least time between two batches of reports, on average.
        random: Source of all jitter.
    """

    def __init__(
        self, *, quorum: int, lease_seconds: float, poll_seconds: float, report_gap_seconds: float, random: Random
    ) -> None:
        self.quorum = quorum
        self.lease_seconds = lease_seconds
        self._poll_seconds = poll_seconds
        self._gap = report_gap_seconds
        self._random = random
        self._sequence = itertools.count(1)
        self.memberships: WeakValueDictionary[str, Membership] = WeakValueDictionary()
        self.identity = new_worker_id()
        self.is_reachable = False
        self.problem: str | None = STOPPED
        self.store_operations = 0
        self._store: FleetStore | None = None
        self._token: object = None
        self._group: TaskGroup | None = None
        self._scheduled: deque[RequestSource] = deque()
        self._is_urgent = False
        self._changed: LoopEvent | None = None
        self._server_ahead_us: int | None = None
        self._free_slots = MOST_IN_FLIGHT
        self._report_started: Callable[[], None] | None = None
        self._is_stopping = False

    # As memberships see it

    @property
    def is_in_loop(self) -> bool:
        """Whether the caller runs in the worker's event loop."""
        return self._token is not None and running_token() == self._token

    @property
    def op_timeout_seconds(self) -> float:
        """Longest wait for the store in seconds."""
        return 0.0 if self._store is None else self._store.op_timeout_seconds

    def now(self) -> float:
        """Return the seconds of the event loop's clock."""
        return anyio.current_time()

    def not_after_us(self) -> int:
        """Return the server's time at which a caller that asks now gives up; 0 if it is not known."""
        if self._server_ahead_us is None:
            return 0
        return max(0, round((self.now() + self.op_timeout_seconds) * 1_000_000) + self._server_ahead_us)

    def next_sequence(self) -> int:
        """Return a number larger than any before."""
        return next(self._sequence)

    def fraction(self) -> float:
        """Return a random number from 0 to 1."""
        return self._random.random()

    def schedule(self, source: RequestSource, *, urgent: bool) -> None:
        """Have the requests of a source sent soon, or at once. Any thread may call it."""
        if not self.is_reachable:
            return
        self._scheduled.append(source)
        self._is_urgent = self._is_urgent or urgent
        self._wake()

    def renew(self, source: RequestSource, token: int, seconds: float) -> None:
        """Renew a lease while its probe runs, for at most the given time."""
        if self._group is not None:
            self._group.start_soon(self._renew, source, token, seconds)

    # Life

    async def run(self, store: FleetStore, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Work until cancelled: session after session, with a pause after each.

        Args:
            store: Where the state is shared.
            task_status: Reported as started once the first session stands, or has failed.
        """
        self._store = store
        self._token = running_token()
        self.identity = new_worker_id()
        self._report_started = task_status.started
        self._is_stopping = False
        attempts = 0
        try:
            while True:
                try:
                    await self._session(store)
                except* FleetStoreError as group:
                    attempts = 0 if self.is_reachable else attempts
                    self._degrade(_first_problem(group))
                self._started()
                longest = min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2**attempts)
                attempts = min(attempts + 1, MOST_DOUBLINGS)
                await anyio.sleep(self.fraction() * longest)
        finally:
            self._degrade(STOPPED)
            self._store = self._token = None

    def _started(self) -> None:
        report_started, self._report_started = self._report_started, None
        if report_started is not None:
            report_started()

    async def _session(self, store: FleetStore) -> None:
        await store.connect()
        async with store.subscribe() as messages, anyio.create_task_group() as group:
            self._group = group
            self._free_slots = MOST_IN_FLIGHT
            try:
                await self._reconcile(store)
                self._started()
                group.start_soon(self._read, messages)
                group.start_soon(self._poll, store)
                await self._flush(store, group)
            finally:
                self._group = None

    async def _reconcile(self, store: FleetStore) -> None:
        """Ask for the state of every breaker, and settle the differences that arose while the store was unreachable."""
        batches = list(self._batches())
        for index, batch in enumerate(batches):
            if index >= BATCHES_AT_ONCE:
                await anyio.sleep(SPREAD_SECONDS / len(batches) * 2 * self.fraction())
            replies = await self._execute(store, [membership.sync_request() for membership in batch])
            self._recover()
            for membership, reply in zip(batch, replies, strict=True):
                membership.reconcile(reply, self.now())
        self._recover()
        for membership in tuple(self.memberships.values()):
            if membership.has_requests:
                self.schedule(membership, urgent=True)

    def _recover(self) -> None:
        """Let the breakers share their state."""
        if not self.is_reachable:
            self.is_reachable, self.problem = True, None
            log(logging.INFO, "The fleet's store is reachable; breakers share their state")

    def _degrade(self, problem: str) -> None:
        """Let each breaker decide alone."""
        was_reachable, self.is_reachable = self.is_reachable, False
        problem = STOPPED if self._is_stopping else problem
        if problem not in {self.problem, STOPPED}:
            log(logging.WARNING, "The fleet's store is unreachable, and breakers decide alone: %s", problem)
        self.problem = problem
        self._scheduled.clear()
        if was_reachable:
            for membership in tuple(self.memberships.values()):
                membership.degrade()

    # Tasks of a session

    async def _read(self, messages: AsyncIterator[Message]) -> None:
        async for message in messages:
            membership = self.memberships.get(message.name)
            if membership is not None:
                membership.apply(message.shared)

    async def _poll(self, store: FleetStore) -> None:
        while True:
            batches = list(self._batches())
            pause = self._poll_seconds * (0.8 + 0.4 * self.fraction()) / max(1, len(batches))
            for batch in batches or [[]]:
                await anyio.sleep(pause)
                await self._send(store, [request for membership in batch for request in membership.poll(self.now())])

    async def _flush(self, store: FleetStore, group: TaskGroup) -> None:
        recent: deque[float] = deque([-math.inf] * MOST_IN_FLIGHT, maxlen=MOST_IN_FLIGHT)
        while True:
            await self.wait_until(lambda: bool(self._scheduled) and self._free_slots > 0)
            pause = MOST_IN_FLIGHT * self._gap * (0.8 + 0.4 * self.fraction())
            with anyio.move_on_at(recent[0] + pause):
                await self.wait_until(lambda: self._is_urgent)
            self._is_urgent = False
            requests = self._next_batch()
            if requests:
                recent.append(self.now())
                self._free_slots -= 1
                group.start_soon(self._send_batch, store, requests)

    async def wait_until(self, is_so: Callable[[], bool]) -> None:
        """Wait until a condition holds; it is checked when a breaker schedules requests and when a batch is done."""
        while not is_so():
            self._changed = changed = LoopEvent.here(self._changed)
            if not is_so():
                await changed.wait()

    def _wake(self) -> None:
        changed, self._changed = self._changed, None
        if changed is not None:
            changed.set()

    def _next_batch(self) -> list[StoreRequest]:
        """Return the requests of the breakers that are scheduled."""
        sources: dict[RequestSource, None] = {}
        while self._scheduled and len(sources) < BATCH:
            sources[self._scheduled.popleft()] = None
        batch: list[StoreRequest] = []
        for source in sources:
            requests = source.next_requests(self.now())
            batch += requests
            if requests and source.has_requests:  # without requests: it has reports that can't be sent while open
                self._scheduled.append(source)
                self._is_urgent = self._is_urgent or source.is_urgent
        return batch

    async def _send_batch(self, store: FleetStore, requests: Sequence[StoreRequest]) -> None:
        try:
            await self._send(store, requests)
        finally:
            self._free_slots += 1
            self._wake()

    async def _send(self, store: FleetStore, requests: Sequence[StoreRequest]) -> None:
        if not requests:
            return
        replies = await self._execute(store, requests)
        for request, reply in zip(requests, replies, strict=True):
            request.done(reply)

    async def _execute(self, store: FleetStore, requests: Sequence[StoreRequest]) -> list[Reply]:
        try:
            return await self._carry_out(store, [request.operation for request in requests])
        except BaseException:
            for request in requests:
                request.failed()
            raise

    async def _carry_out(self, store: FleetStore, operations: Sequence[AnyOperation]) -> list[Reply]:
        self.store_operations += len(operations)
        replies = await store.execute(operations)
        self._server_ahead_us = replies[-1].now_us - round(self.now() * 1_000_000)
        return replies

    async def _renew(self, source: RequestSource, token: int, seconds: float) -> None:
        until = self.now() + seconds
        while self.now() < until and self._store is not None:
            await anyio.sleep(self.lease_seconds / 3)
            renewal = source.renewal(token)
            if renewal is None:
                return
            await self._send(self._store, [renewal])

    async def carry_out(self, operation: AnyOperation) -> Reply:
        """Carry out an operation for a caller that waits for the reply.

        Raises:
            FleetError: The worker does not run in this event loop.
            FleetStoreError: The store is unreachable, or did not answer in time.
        """
        if self._store is None or not self.is_in_loop:
            raise FleetError(NOT_RUNNING)
        (reply,) = await self._carry_out(self._store, [operation])
        return reply

    async def finish(self) -> None:
        """Report how the last probes ended, before the worker is stopped."""
        self._is_stopping = True
        store = self._store
        if store is None or not self.is_reachable:
            return
        requests = [request for membership in tuple(self.memberships.values()) for request in membership.drain()]
        with suppress(FleetStoreError):
            await self._send(store, requests)

    def _batches(self) -> Iterator[list[Membership]]:
        memberships = list(self.memberships.values())
        for index in range(0, len(memberships), BATCH):
            yield memberships[index : index + BATCH]


def _first_problem(group: BaseExceptionGroup[FleetStoreError]) -> str:
    """Return the first of the errors as text."""
    return str(next(leaves(group)))
