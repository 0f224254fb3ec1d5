"""Bulkhead: keeps one dependency from taking up all the resources of the caller.

A call holds a `_Hold`, and the limiter knows it by a weak reference. The call gives its place back at its end. If an
exception from outside (Ctrl-C) interrupts it before that, the hold is dropped with the call, and the callback of the
weak reference gives the place back. The reference is a local variable before the hold: at the end of a call it goes
first, and its callback is not called.
"""

from __future__ import annotations

from asyncio import get_running_loop
from contextlib import suppress
from functools import partial
from types import CoroutineType
from typing import TYPE_CHECKING, Any, TypedDict
from weakref import ReferenceType, ref

import anyio

from recloser._breaker.loop_bound import PerLoop, poster
from recloser._core import checks
from recloser._policies.policy import AdmittingPolicy, is_awaitable
from recloser.errors import BulkheadFullError

if TYPE_CHECKING:
    from collections.abc import Callable

    from recloser._policies.policy import Wrapped


class BulkheadHealth(TypedDict):
    """What `Bulkhead.health()` returns.

    Attributes:
        kind: "bulkhead".
        name: The name of the policy.
        max_concurrent: How many calls may run at once.
        max_queue: How many calls may wait for a place.
        running: How many calls are running.
        waiting: How many calls are waiting for a place.
        admitted_total: Calls that got a place, at once or after a wait.
        rejected_total: Calls that found the queue full, or waited too long.
    """

    kind: str
    name: str
    max_concurrent: int
    max_queue: int
    running: int
    waiting: int
    admitted_total: int
    rejected_total: int


class Bulkhead(AdmittingPolicy):
    """Limits how many calls run at once and how many wait for a place; further calls are rejected immediately.

    Put it outside the breaker if calls wait in it: inside, they have passed the breaker before it opens, and reach the
    dependency afterwards. A breaker around the bulkhead ignores a rejected call.

    Calls get their places in the order of arrival. A waiting call that is cancelled leaves the queue. A call inside
    another call of the same bulkhead takes a place of its own. A bulkhead serves one event loop at a time.

    Args:
        max_concurrent: How many calls may run at once, >= 1.
        max_queue: How many calls may wait for a place, >= 0.
        queue_timeout_seconds: How long a call may wait before it is rejected (finite, > 0); None means without limit.
            Only together with `max_queue`.
        name: Name in errors; `bulkhead-<n>` if not given.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: An argument is out of its range, or `queue_timeout_seconds` is given without a queue.
    """

    __slots__ = ("_admitted", "_max_concurrent", "_max_queue", "_queue_timeout_seconds", "_rejected", "_rooms")

    kind = "bulkhead"

    def __init__(
        self,
        max_concurrent: int,
        max_queue: int = 0,
        queue_timeout_seconds: float | None = None,
        *,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self._max_concurrent = checks.count("max_concurrent", max_concurrent)
        self._max_queue = checks.count("max_queue", max_queue, least=0)
        self._queue_timeout_seconds: float | None = None
        if queue_timeout_seconds is not None:
            self._queue_timeout_seconds = checks.seconds("queue_timeout_seconds", queue_timeout_seconds)
            if not self._max_queue:
                raise ValueError("queue_timeout_seconds has no effect without a queue: give max_queue >= 1 too")
        self._admitted = self._rejected = 0
        self._rooms = PerLoop(partial(_Room, self._max_concurrent))

    @property
    def may_wait(self) -> bool:
        """Whether a call may wait for a place, which needs `max_queue`."""
        return self._max_queue > 0

    @property
    def borrowed(self) -> int:
        """How many calls are running."""
        room = self._rooms.latest
        return 0 if room is None else room.limiter.borrowed_tokens

    @property
    def waiting(self) -> int:
        """How many calls are waiting for a place."""
        room = self._rooms.latest
        return 0 if room is None else room.limiter.statistics().tasks_waiting

    def health(self) -> BulkheadHealth:
        """Return the limits and the counts as a JSON-ready dictionary; safe from any thread.

        An iteration of a decorated async generator function counts as a call. A call that is cancelled while it waits
        is neither admitted nor rejected.
        """
        return {
            "kind": self.kind,
            "name": self._name,
            "max_concurrent": self._max_concurrent,
            "max_queue": self._max_queue,
            "running": self.borrowed,
            "waiting": self.waiting,
            "admitted_total": self._admitted,
            "rejected_total": self._rejected,
        }

    def _around(self, fn: Callable[..., Any]) -> Wrapped:
        rooms = self._rooms

        async def protected(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the signature is the function's
            place: Any = None
            hold = _Hold()
            try:
                room = rooms.latest if rooms.loop is get_running_loop() else rooms.here()
                place = ref(hold, room.on_drop)
                room.limiter.acquire_on_behalf_of_nowait(place)
            except (anyio.WouldBlock, RuntimeError):  # no place is free, or asyncio is not running
                room = None
            if room is None:
                room = self._rooms.here()
                place = ref(hold, room.on_drop)
                await self._queue(room.limiter, place)
            self._admitted += 1
            try:
                result = fn(*args, **kwargs) if kwargs else fn(*args)
                if type(result) is CoroutineType or is_awaitable(result):
                    return await result
                return result
            finally:
                try:  # noqa: SIM105 - suppress() takes as long as all the rest
                    room.limiter.release_on_behalf_of(place)
                except RuntimeError:  # the event loop of those who wait is closed, so they cannot be woken
                    pass

        return protected

    async def _admit(self) -> Callable[[], object]:
        place: Any = None
        hold, room = _Hold(), self._rooms.here()
        place = ref(hold, room.on_drop)
        await self._queue(room.limiter, place)
        self._admitted += 1
        return partial(_leave, hold, room.limiter, place)

    async def _queue(self, limiter: anyio.CapacityLimiter, place: Place) -> None:
        """Take a place, after a wait if necessary.

        Raises:
            BulkheadFullError: The queue is full, or the wait took too long.
        """
        timeout = self._queue_timeout_seconds
        if _take(limiter, place):
            return
        if limiter.statistics().tasks_waiting >= self._max_queue:
            self._rejected += 1
            raise BulkheadFullError(self._name, None, self._max_concurrent, self._max_queue)
        if timeout is None:
            await self._wait(limiter, place)
            return
        with anyio.move_on_after(timeout):
            await self._wait(limiter, place)
            return
        self._rejected += 1
        raise BulkheadFullError(self._name, None, self._max_concurrent, self._max_queue, timeout)

    async def _wait(self, limiter: anyio.CapacityLimiter, place: Place) -> None:
        """Take a place as soon as one is free."""
        while True:
            await limiter.acquire_on_behalf_of(place)
            if limiter.borrowed_tokens <= self._max_concurrent:
                return
            # anyio before 4.15 may give a new call the place that a waiting one has been promised.
            limiter.release_on_behalf_of(place)

    def _settings(self) -> str:
        if not self._max_queue:
            return f"{self._max_concurrent} at once"
        limit = "" if self._queue_timeout_seconds is None else f" for at most {self._queue_timeout_seconds:g} s"
        return f"{self._max_concurrent} at once, {self._max_queue} waiting{limit}"


class _Hold:
    """What a call holds while it has a place: not its task, so that a call inside a call takes a place of its own."""

    __slots__ = ("__weakref__",)


Place = ReferenceType[_Hold]


class _Room:
    """The places of one event loop.

    Args:
        places: How many there are.

    Raises:
        RuntimeError: No event loop runs in this thread.
    """

    __slots__ = ("_post", "limiter", "on_drop")

    def __init__(self, places: int) -> None:
        self.limiter = anyio.CapacityLimiter(places)
        self.on_drop: Callable[[Place], None] = self._give_back  # a method of a class would be bound for each call
        self._post = poster()

    def _give_back(self, place: Place) -> None:
        """Give back the place of a hold that was dropped, in the event loop: a finaliser can run in any thread."""
        leave = partial(_leave, None, self.limiter, place)
        try:
            self._post(leave)
        except RuntimeError:  # the event loop is closed
            leave()


def _take(limiter: anyio.CapacityLimiter, place: Place) -> bool:
    try:
        limiter.acquire_on_behalf_of_nowait(place)
    except anyio.WouldBlock:
        return False
    return True


def _leave(_hold: _Hold | None, limiter: anyio.CapacityLimiter, place: Place) -> None:
    # As in Bulkhead._around; or the place has been given back, or was never taken and so cannot be hashed any more.
    with suppress(RuntimeError, TypeError):
        limiter.release_on_behalf_of(place)
