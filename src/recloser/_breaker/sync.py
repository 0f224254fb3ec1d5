"""The synchronous door to a breaker: the same state, probes and outcomes for code that is not awaited.

It needs no event loop, and works in any number of threads at once, beside any number of event loops.
"""

from __future__ import annotations

import threading
from time import monotonic
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from recloser._breaker.admission import accepted
from recloser._breaker.classify import raised
from recloser._breaker.control import seconds_until_ready
from recloser._breaker.functions import name_after
from recloser._breaker.loop_bound import ThreadEvent, running_loop
from recloser._breaker.permits import AcquiredPermit, try_acquire_permit_nowait
from recloser._breaker.steps import STEP
from recloser._breaker.unfinished import is_finished
from recloser._breaker.watch import returned
from recloser._breaker.worker_thread import finished
from recloser._core import checks
from recloser._core.slots import is_asynchronous
from recloser._core.tickets import NEEDS_LEASE
from recloser._core.windows import ALWAYS
from recloser.errors import MisuseError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from recloser._breaker.engine import Engine
    from recloser._breaker.permits import Permit

P = ParamSpec("P")
T = TypeVar("T")


class SyncDoor:
    """The synchronous door to a breaker, `breaker.sync`: it decorates and calls functions that are not awaited.

    In a fleet, callers in other threads than the fleet's decide about probes alone, as they would without a fleet. In
    the fleet's own thread they make no probes while it leads, because they can't wait for its answer.
    """

    __slots__ = ("_engine",)

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __call__(self, fn: Callable[P, T], /) -> Callable[P, T]:
        """Decorate a function: each call of it goes through the breaker.

        Raises:
            TypeError: It is not callable, or it is asynchronous; the message says what to use instead.
        """
        _check(fn)
        engine = self._engine

        def protected(*args: P.args, **kwargs: P.kwargs) -> T:
            return _call(engine, fn, args, kwargs)

        name_after(protected, fn)
        return protected

    def call(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function under protection and return its result.

        Args:
            fn: A function that is not awaited.
            *args: Positional arguments for `fn`.
            **kwargs: Keyword arguments for `fn`.

        Raises:
            CircuitBreakerOpenError: The breaker rejected the call; `fn` was not called.
            TypeError: `fn` is not callable or asynchronous, or has returned an awaitable or an async generator.
            BaseException: Whatever `fn` raises, the same object.
        """
        _check(fn)
        return _call(self._engine, fn, args, kwargs)

    def guard(self) -> SyncGuard:
        """Return a context manager that protects a block of code; `with` yields the block's permit."""
        return SyncGuard(self._engine)

    def acquire(self) -> Permit:
        """Admit one call and return its permit, which the caller has to settle.

        Raises:
            CircuitBreakerOpenError: The breaker rejected the call.
        """
        return _acquire(self._engine)

    def try_acquire(self) -> Permit | None:
        """Like `acquire()`, but return None if the call is rejected."""
        return try_acquire_permit_nowait(self._engine)

    def wait_until_ready(self, timeout_seconds: float | None = None) -> bool:
        """Block the thread until a call has a chance; return whether it has one.

        Args:
            timeout_seconds: The longest wait, in seconds (finite, >= 0); None means without limit.

        Raises:
            RuntimeError: An event loop runs in this thread, which the wait would block.
            TypeError: `timeout_seconds` is not a number.
            ValueError: It is out of range.
        """
        if running_loop() is not None:
            raise MisuseError("this would block the event loop; use await breaker.wait_until_ready()")
        if timeout_seconds is not None:
            timeout_seconds = checks.seconds("timeout_seconds", timeout_seconds, zero=True)
        return _wait_until_ready(self._engine, timeout_seconds)

    def __repr__(self) -> str:
        """Name the breaker."""
        return f"<the synchronous door of circuit breaker {self._engine.name!r}>"


class SyncGuard:
    """A block of code under a breaker's protection: `with breaker.sync.guard() as permit`.

    It protects one block at a time, and can be entered again afterwards.
    """

    __slots__ = ("_engine", "_permit")

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._permit: Permit | None = None

    def __enter__(self) -> Permit:
        """Admit the block.

        Raises:
            CircuitBreakerOpenError: The breaker rejected the block.
            RuntimeError: The guard is in use.
        """
        if self._permit is not None:
            raise RuntimeError("this guard is in use; call guard() for each block")
        self._permit = permit = _acquire(self._engine)
        return permit.__enter__()

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Settle the permit by the way the block ended, unless it is settled already."""
        permit, self._permit = self._permit, None
        if permit is not None:
            permit.__exit__(exc_type, exc, traceback)


def _check(fn: object) -> None:
    """Refuse what can't be called, or would have to be awaited.

    Raises:
        TypeError: The message says what to use instead.
    """
    if not callable(fn):
        raise MisuseError(f"breaker.sync takes a function, not {fn!r}")
    if is_asynchronous(fn):
        raise MisuseError(f"{fn!r} is asynchronous: breaker.sync does not await; use @breaker, or await breaker.call")


def _call(engine: Engine, fn: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> T:
    epoch, started = engine.live, None
    if epoch is None:
        if (watch := engine.watch) is not None:
            epoch, started = watch.epoch, engine.now()
        else:
            epoch = _admit(engine)
            started = engine.begin(epoch)
    failures = epoch.failures
    try:
        result = fn(*args, **kwargs)
        if type(result) is not engine.returned and not is_finished(engine, result):
            finished(result)
    except:
        engine.call_raised(epoch, raised(), started, failures)
        raise
    if started is not None or engine.counting is not epoch:
        returned(engine, epoch, result, started)
        return result
    epoch.successes = count = epoch.successes + 1
    if count >= epoch.look_at and (count >= epoch.sample_at or epoch.edge == ALWAYS or engine.now() >= epoch.edge):
        engine.observe(epoch, None)
    return result


def _admit(engine: Engine) -> Any:  # noqa: ANN401 - a Ticket; Any for the reason given at `Engine.live`
    """Admit a call.

    Raises:
        CircuitBreakerOpenError: The call is rejected.
    """
    ticket = engine.admit()
    return accepted(engine.reject(engine.now())) if ticket is NEEDS_LEASE else ticket


def _acquire(engine: Engine) -> AcquiredPermit:
    ticket = engine.live
    if ticket is not None:
        return AcquiredPermit(engine, ticket, None)
    ticket = _admit(engine)
    return AcquiredPermit(engine, ticket, engine.start(ticket))


def _wait_until_ready(engine: Engine, timeout_seconds: float | None) -> bool:
    ends_at = None if timeout_seconds is None else monotonic() + timeout_seconds
    with STEP:
        if engine.waiting is None:
            engine.waiting = {}
    while True:
        changed = ThreadEvent()
        engine.waiting[changed] = None  # before the check, so that no change is missed
        try:
            wait = seconds_until_ready(engine)
            left = None if ends_at is None else ends_at - monotonic()
            if wait <= 0 or (left is not None and left <= 0):
                return wait <= 0
            changed.wait(min(wait, threading.TIMEOUT_MAX) if left is None else min(wait, left))
        finally:
            engine.waiting.pop(changed, None)
