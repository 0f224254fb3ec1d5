"""Calls a blocking function in a worker thread; the end of the thread settles the call, even if the caller has left.

A thread can't be cancelled. anyio shields the wait for it from cancel scopes, but asyncio's own `task.cancel()` ignores
the shield. The caller then leaves while the function still runs, so the thread has the event loop settle the permit
when it ends.

A function that returns an awaitable or an async generator has not done its work, and no thread will await it: that is a
misuse, and no success.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import AsyncGenerator, Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import anyio

from recloser._breaker.loop_bound import poster
from recloser._breaker.permits import acquire_permit
from recloser._breaker.probe_context import probe_step
from recloser._core.slots import is_asynchronous
from recloser._core.tickets import Probe
from recloser.errors import MisuseError

if TYPE_CHECKING:
    from collections.abc import Callable

    from recloser._breaker.engine import Engine
    from recloser._breaker.permits import Permit


async def call_in_thread(engine: Engine, fn: object, work: Callable[[], Any]) -> Any:  # noqa: ANN401 - what it returns
    """Admit one call and run it in a worker thread.

    Args:
        engine: The engine of the breaker.
        fn: The blocking function.
        work: The function with its arguments.

    Raises:
        CircuitBreakerOpenError: The breaker rejected the call; no thread was started.
        MisuseError: The function is asynchronous, or returns an awaitable or an async generator.
    """
    if is_asynchronous(fn):
        raise MisuseError(f"{fn!r} is asynchronous: a thread would not await it; use await breaker.call(fn, ...)")
    permit = await acquire_permit(engine)
    with probe_step(permit.ticket if isinstance(permit.ticket, Probe) else None):
        return await WorkerThreadCall(permit, work).run()


class WorkerThreadCall:
    """One call in a worker thread; the caller settles the permit, or the thread if the caller has left.

    Args:
        permit: The permit of the call.
        fn: The blocking function with its arguments.
    """

    __slots__ = ("_ended", "_error", "_fn", "_left", "_lock", "_permit", "_post", "_result", "_started")

    def __init__(self, permit: Permit, fn: Callable[[], Any]) -> None:
        self._permit = permit
        self._fn = fn
        self._lock = threading.Lock()
        self._started = self._ended = self._left = False
        self._result: Any = None
        self._error: BaseException | None = None
        self._post = poster()

    async def run(self) -> Any:  # noqa: ANN401 - what the function returns
        """Run the function in a worker thread; return its result or raise its exception."""
        try:
            result = await anyio.to_thread.run_sync(self.work)
        except BaseException as exc:
            self.leave(exc)
            raise
        self._settle()
        return result

    def work(self) -> Any:  # noqa: ANN401 - what the function returns
        """Run the function in the worker thread, unless the caller has left before the start."""
        with self._lock:
            if self._left:
                return None
            self._started = True
        try:
            self._result = finished(self._fn())
        except BaseException as exc:
            self._error = exc
            raise
        finally:
            with self._lock:
                self._ended = True
            if self._left:
                with suppress(RuntimeError):
                    self._post(self._settle)
        return self._result

    def leave(self, exc: BaseException) -> None:
        """Settle the permit if the function has ended or has not started; else leave it to the thread."""
        with self._lock:
            self._left = not self._ended
            if self._left and self._started:
                return
        if self._ended:
            self._settle()
        else:
            self._permit.__exit__(type(exc), exc, None)

    def _settle(self) -> None:
        error, self._error = self._error, None
        if error is None:
            self._permit.returned(self._result)
        else:
            self._permit.__exit__(type(error), error, None)


def finished(result: object) -> object:
    """Return what a function in a thread has returned.

    Raises:
        MisuseError: It is an awaitable or an async generator; a coroutine is closed.
    """
    if not (inspect.isawaitable(result) or isinstance(result, AsyncGenerator)):
        return result
    if isinstance(result, Coroutine):
        result.close()
    raise MisuseError(
        f"the function returned {result!r}, which a thread would not await; use await breaker.call(fn, ...), or "
        "decorate an async generator function"
    )
