"""Bulkhead: keeps one dependency from taking up all the resources of the caller."""

from __future__ import annotations

from functools import partial
from types import CoroutineType
from typing import TYPE_CHECKING, Any, TypedDict
from weakref import ref

import anyio

from recloser._core import checks
from recloser._policies.places import Hold, Place, Places
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
    another call of the same bulkhead takes a place of its own. The places are those of the process: a bulkhead serves
    any number of event loops and threads.

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

    __slots__ = ("_admitted", "_max_concurrent", "_max_queue", "_places", "_queue_timeout_seconds", "_rejected")

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
        self._places = Places(self._max_concurrent)

    @property
    def may_wait(self) -> bool:
        """Whether a call may wait for a place, which needs `max_queue`."""
        return self._max_queue > 0

    @property
    def borrowed(self) -> int:
        """How many calls are running."""
        return self._places.taken

    @property
    def waiting(self) -> int:
        """How many calls are waiting for a place."""
        return self._places.waiting

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
        places, on_drop = self._places, self._places.on_drop

        async def protected(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the signature is the function's
            place: Any = None
            hold = Hold()
            place = ref(hold, on_drop)
            if not places.take(place):
                await self._queue(place)
            self._admitted += 1
            try:
                result = fn(*args, **kwargs) if kwargs else fn(*args)
                if type(result) is CoroutineType or is_awaitable(result):
                    return await result
                return result
            finally:
                places.give(place)

        return protected

    async def _admit(self) -> Callable[[], object]:
        place: Any = None
        hold = Hold()
        place = ref(hold, self._places.on_drop)
        if not self._places.take(place):
            await self._queue(place)
        self._admitted += 1
        return partial(_leave, hold, self._places, place)

    async def _queue(self, place: Place) -> None:
        """Wait for a place.

        Raises:
            BulkheadFullError: The queue is full, or the wait took too long.
        """
        timeout = self._queue_timeout_seconds
        event = self._places.queue(place, self._max_queue) if self._max_queue else None
        if event is None:
            self._rejected += 1
            raise BulkheadFullError(self._name, None, self._max_concurrent, self._max_queue)
        try:
            if timeout is None:
                await event.wait()
                return
            with anyio.move_on_after(timeout):
                await event.wait()
                return
        except BaseException:
            self._places.give(place)
            raise
        self._places.give(place)
        self._rejected += 1
        raise BulkheadFullError(self._name, None, self._max_concurrent, self._max_queue, timeout)

    def _settings(self) -> str:
        if not self._max_queue:
            return f"{self._max_concurrent} at once"
        limit = "" if self._queue_timeout_seconds is None else f" for at most {self._queue_timeout_seconds:g} s"
        return f"{self._max_concurrent} at once, {self._max_queue} waiting{limit}"


def _leave(_hold: Hold, places: Places, place: Place) -> None:
    places.give(place)
