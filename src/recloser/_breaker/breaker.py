"""The circuit breaker: what users hold in their hands."""

from __future__ import annotations

import functools
import inspect
import itertools
import time
from datetime import UTC, datetime
from random import Random
from types import AsyncGeneratorType, CoroutineType
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar, overload
from weakref import ref

import anyio.lowlevel

from recloser._breaker import control
from recloser._breaker.clock import MONOTONIC, CheckedClock
from recloser._breaker.decorate import protect
from recloser._breaker.dispatch import EventStream, kinds_of, listen
from recloser._breaker.engine import SYSTEM_RANDOM, Engine, raised
from recloser._breaker.fleet_port import admit_by_lease, try_admit_by_lease
from recloser._breaker.functions import is_kind
from recloser._breaker.permits import AcquiredPermit, Guard, Permit, acquire_permit
from recloser._breaker.probe_context import probe_step
from recloser._breaker.reading import health_of, snapshot_of
from recloser._breaker.worker_thread import WorkerThreadCall
from recloser._core import checks
from recloser._core.events import Event
from recloser._core.explain import explain
from recloser._core.outcomes import Outcome
from recloser._core.settings import DEFAULTS
from recloser._core.states import CircuitState, Trigger
from recloser._core.tickets import NEEDS_LEASE, Probe
from recloser._core.windows import ALWAYS, NEVER
from recloser.errors import CircuitBreakerOpenError, MisuseError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine

    from recloser._breaker.dispatch import Kinds
    from recloser._core.backoff import Backoff
    from recloser._core.events import Snapshot
    from recloser._core.outcomes import ExceptionSpec
    from recloser._core.tickets import Ticket
    from recloser._core.trip import TripRule

E = TypeVar("E", bound=Event)
P = ParamSpec("P")
T = TypeVar("T")
F = TypeVar("F", bound="Callable[..., Coroutine[Any, Any, Any] | AsyncIterator[Any]]")

_numbers = itertools.count(1)


class CircuitBreaker:
    """Protects calls to one dependency: after repeated failures they fail fast, until a probe shows it is back.

    A breaker may be made at import time and used in one event loop after another, on asyncio and trio; one loop at a
    time. Reading it is safe from any thread. What a probe calls through the same breaker is a part of it and
    counts for nothing by itself. A breaker can be neither copied nor pickled.

    Args:
        name: Name in errors, logs, events and health; `breaker-<n>`, unique in the process, if not given.
        failure_threshold: Consecutive failures that open the breaker, >= 1; 5 by default. Short for
            `trip_when=ConsecutiveFailures(n)`, and not to be given together with it.
        reset_timeout_seconds: How long the breaker stays open before a probe may go through: seconds (finite, >=
            0), or a `ConstantBackoff` or `ExponentialBackoff`.
        expected_exception: What counts as a failure: an exception type, a tuple of types, or a predicate on the
            exception. Other exceptions show that the dependency answered, and count as successes; those that are no
            `Exception` are ignored unless a type given here names them. An exception group is judged by its leaves.
        ignored_exception: What is ignored, in the same forms; beats `expected_exception`. Rejections by other breakers
            are always ignored.
        failed_result: Predicate on the returned value; a true answer counts as a failure. The value is returned all the
            same.
        trip_when: The trip rule: `ConsecutiveFailures`, `FailureRate`, `FailureCount`, `SlowCallRate`, or several
            joined by `|`.
        success_threshold: Probes that must succeed before the breaker closes, >= 1.
        max_probes: Probes that may run at once while half-open, >= 1.
        probe_timeout_seconds: A probe that runs longer counts as failed, which the next call notices (finite, >
            0). By default the larger of the current reset timeout and 60 s.
        count_cancelled_after_seconds: Count a cancelled call as failed if it had run at least this long (finite, >= 0).
            None: ignored. Needed where callers use `asyncio.timeout()` or `asyncio.wait_for()`, whose cancellations
            have no cause that can be seen; deadlines of `anyio.fail_after()` and `move_on_after()` around a call always
            count as failures.
        shadow: Run the whole state machine and report, and reject nothing.
        clock: Monotonic seconds; `time.monotonic` by default.
        random: Source of the jitter of a backoff.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: An argument is out of its range, or both `trip_when` and `failure_threshold` are given.
    """

    __slots__ = ("__weakref__", "engine")

    engine: Engine

    def __init__(
        self,
        name: str | None = None,
        *,
        failure_threshold: int | None = None,
        reset_timeout_seconds: float | Backoff = 60,
        expected_exception: ExceptionSpec = Exception,
        ignored_exception: ExceptionSpec = (),
        failed_result: Callable[[Any], object] | None = None,
        trip_when: TripRule | None = None,
        success_threshold: int = 1,
        max_probes: int = 1,
        probe_timeout_seconds: float | None = None,
        count_cancelled_after_seconds: float | None = None,
        shadow: bool = False,
        clock: Callable[[], float] = time.monotonic,
        random: Random = SYSTEM_RANDOM,
    ) -> None:
        if name is None:
            name = f"breaker-{next(_numbers)}"
        if not isinstance(name, str):
            raise TypeError(f"name must be a string, not {name!r}")
        if not callable(clock):
            raise TypeError(f"clock must be a function that returns monotonic seconds, not {clock!r}")
        if not isinstance(random, Random):
            raise TypeError(f"random must be a random.Random, not {random!r}")
        settings = DEFAULTS.changed(
            {
                "failure_threshold": failure_threshold,
                "reset_timeout_seconds": reset_timeout_seconds,
                "expected_exception": expected_exception,
                "ignored_exception": ignored_exception,
                "failed_result": failed_result,
                "trip_when": trip_when,
                "success_threshold": success_threshold,
                "max_probes": max_probes,
                "probe_timeout_seconds": probe_timeout_seconds,
                "count_cancelled_after_seconds": count_cancelled_after_seconds,
                "shadow": shadow,
            }
        )
        checked = MONOTONIC if clock is time.monotonic else CheckedClock(clock)
        self.engine = Engine(name, settings, checked, random)
        self.engine.face = ref(self)

    @classmethod
    def around(cls, engine: Engine) -> CircuitBreaker:
        """Return the breaker of an engine: the one that lives, else a new one."""
        face: CircuitBreaker | None = None if engine.face is None else engine.face()
        if face is None:
            face = cls.__new__(cls)
            face.engine = engine
            engine.face = ref(face)
        return face

    # Calling

    @overload
    async def call(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T: ...
    @overload
    async def call(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T: ...
    async def call(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call a function under protection and return what it returns.

        Admission and the count of the outcome are synchronous: the only awaits are the function's own. A cancellation
        goes through and is ignored, unless it was caused by an anyio deadline around the call; see the class.

        Args:
            fn: A function that returns an awaitable or a plain value.
            *args: Passed on.
            **kwargs: Passed on.

        Raises:
            CircuitBreakerOpenError: The breaker rejected the call; `fn` was not called.
            TypeError: `fn` can't be called, or is an async generator function.
            BaseException: Whatever `fn` raises, the same object.
        """
        engine = self.engine
        epoch = engine.live
        started = None
        if epoch is None:
            epoch = engine.admit()
            if epoch is NEEDS_LEASE:
                epoch = await admit_by_lease(engine)
            started = engine.begin(epoch)
        try:
            result: Any = fn(*args, **kwargs)
            if type(result) is CoroutineType or inspect.isawaitable(result):
                result = await result
            elif type(result) is AsyncGeneratorType:
                raise MisuseError(f"{fn!r} is an async generator function: decorate it with the breaker and iterate it")
        except:
            if not callable(fn):
                _settle_misuse(engine, epoch, fn)
            engine.call_raised(epoch, raised(), started)
            raise
        if engine.live is epoch:
            epoch.successes += 1
            if epoch.watch:
                engine.observe(epoch)
        else:
            engine.call_returned(epoch, result, started)
        return result

    def __call__(self, fn: F, /) -> F:
        """Decorate a coroutine function or an async generator function; the wrapper's `.breaker` is this breaker.

        An async generator holds its permit from its first step until it ends. An error on the way is a failure. Closed
        early, or cancelled, it counts as a success if it has delivered an item; cancelled, as a failure instead if the
        next item was awaited for `count_cancelled_after_seconds`. Before the first item closing it is ignored, and a
        cancellation what it is for any call. What its reader does between two items takes no time of it.

        Raises:
            TypeError: `fn` is neither; the message names what to use instead.
        """
        wrapper: Any = protect(self.engine, fn)
        wrapper.breaker = self
        protected: F = wrapper
        return protected

    async def call_in_thread(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking function in a worker thread under protection and return what it returns.

        The thread's end settles the call. A cancel scope waits for it; a bare `task.cancel()` of asyncio ends the wait
        at once while the thread goes on, and its end still counts.

        Raises:
            CircuitBreakerOpenError: The breaker rejected the call; no thread was started.
            TypeError: `fn` can't be called, or is asynchronous.
            BaseException: Whatever `fn` raises, the same object.
        """
        work = functools.partial(fn, *args, **kwargs)
        if is_kind(inspect.iscoroutinefunction, fn) or is_kind(inspect.isasyncgenfunction, fn):
            raise MisuseError(f"{fn!r} is asynchronous: a thread would not await it; use await breaker.call(fn, ...)")
        permit = await acquire_permit(self.engine)
        with probe_step(permit.ticket if isinstance(permit.ticket, Probe) else None):
            result: T = await WorkerThreadCall(permit, work).run()
        return result

    def guard(self) -> Guard:
        """Return an async context manager that protects a block and hands it its permit.

        No block with a `yield` in it: what its reader calls would be a part of a probe. Decorate the generator.
        """
        guard = Guard()
        guard.engine = self.engine
        guard.started = None
        guard.held = False
        guard.wire = None
        return guard

    async def acquire(self) -> Permit:
        """Admit one call and return its permit, to be settled by the caller. Does not yield to the event loop.

        Raises:
            CircuitBreakerOpenError: The breaker rejects the call.
        """
        return await acquire_permit(self.engine)

    async def try_acquire(self) -> Permit | None:
        """Admit one call and return its permit, or None if it is rejected.

        Does not yield to the event loop, unless a fleet is asked for a probe.
        """
        engine = self.engine
        if engine.shut_until > ALWAYS and 0 < engine.shut_seconds() < NEVER:
            engine.machine.rejected += 1
            return None
        ticket = engine.try_admit()
        if ticket is NEEDS_LEASE:
            ticket = await try_admit_by_lease(engine)
        return _permit_for(engine, ticket)

    def try_acquire_nowait(self) -> Permit | None:
        """Admit one call and return its permit, or None if it is rejected; for synchronous hooks.

        Outside a task, in a callback of the event loop too, it takes no probes: anyio's semaphore needs a task. It
        never asks a fleet, which could take time: while one leads, it takes no probes either.
        """
        engine = self.engine
        if engine.shut_until > ALWAYS and 0 < engine.shut_seconds() < NEVER:
            engine.machine.rejected += 1
            return None
        try:
            ticket = engine.try_admit()
        except RuntimeError:  # no event loop; anyio before 4.12.1 has no error of its own for that
            ticket = NEEDS_LEASE
        return _permit_for(engine, engine.reject(engine.now()) if ticket is NEEDS_LEASE else ticket)

    async def wait_until_ready(self, timeout_seconds: float | None = None) -> bool:
        """Wait until a call has a chance: the breaker is closed, its reset timeout has elapsed, or a probe may be made.

        A rejected call does not yield to the event loop, so a loop that tries again at once would freeze it; wait here
        instead. Many may wait; only as many as there are probes get through afterwards. Always a checkpoint;
        cancelling it changes nothing.

        Args:
            timeout_seconds: How long to wait at most (finite, >= 0); None means without end.

        Returns:
            Whether a call has a chance now. A chance is no promise: where a probe has timed out, the next call
            notices that, and may have to wait for the new reset timeout.
        """
        if timeout_seconds is not None:
            timeout_seconds = checks.seconds("timeout_seconds", timeout_seconds, zero=True)
        return await control.wait_until_ready(self.engine, timeout_seconds)

    # Control

    async def force_open(self, reason: str, for_seconds: float | None = None) -> None:
        """Reject all calls, by hand. Cancelled, it changes nothing.

        Args:
            reason: Why; shown to rejected callers, in logs and in health.
            for_seconds: When this time is over (finite, > 0) the next call is a probe; None means until `reset()`.

        Raises:
            TypeError: `reason` is no string.
            ValueError: `for_seconds` is out of its range.
        """
        if for_seconds is not None:
            for_seconds = checks.seconds("for_seconds", for_seconds)
        await control.change_by_hand(self.engine, Trigger.FORCED_OPEN, checks.one_line("reason", reason), for_seconds)

    async def disable(self, reason: str | None = None) -> None:
        """Admit and count all calls and trip on nothing, until `reset()`. Cancelled, it changes nothing.

        Args:
            reason: Why; shown in logs and in health.
        """
        await control.change_by_hand(self.engine, Trigger.DISABLED, reason)

    async def reset(self, reason: str | None = None) -> None:
        """Close the breaker and forget what it counted. Cancelled, it changes nothing.

        Args:
            reason: Why; shown in logs and in health.
        """
        await control.change_by_hand(self.engine, Trigger.RESET, reason)

    async def reconfigure(self, **settings: Any) -> None:  # noqa: ANN401 - as many types as settings
        """Change settings, named as at construction, without losing state, generation, open deadline or window.

        A half-open episode that is under way keeps its settings. A window keeps its latest calls; a rule of another
        kind starts empty. Cancelled, it changes nothing.

        Raises:
            TypeError: A setting is unknown, or of the wrong type.
            ValueError: A setting is out of its range.
        """
        await anyio.lowlevel.checkpoint_if_cancelled()
        with self.engine.loop_lock().held():
            control.adopt(self.engine, self.engine.machine.settings.changed(settings))

    # Listening

    @overload
    def subscribe(self, listener: Callable[[Event], object]) -> Callable[[], None]: ...
    @overload
    def subscribe(self, listener: Callable[[E], object], kinds: type[E]) -> Callable[[], None]: ...
    @overload
    def subscribe(self, listener: Callable[[Any], object], kinds: tuple[type[Event], ...]) -> Callable[[], None]: ...
    def subscribe(self, listener: Callable[[Any], object], kinds: Kinds = Event) -> Callable[[], None]:
        """Tell a function of events from now on; return a function that ends this.

        The listener runs in the caller's task after the state has been settled; it should be quick. What it raises is
        logged, except for KeyboardInterrupt and SystemExit.

        Args:
            listener: A synchronous callable.
            kinds: The events that it is told: a type or a tuple of types; all by default. A listener that wants neither
                `CallSucceeded` nor `CallFailed` nor `CallIgnored` costs a call through a closed breaker nothing.

        Raises:
            TypeError: The listener is not a synchronous callable, or `kinds` are no types of events.
            ValueError: No breaker reports anything of these kinds.
        """
        return listen(self.engine.listeners(), listener, kinds, self.engine.refresh)

    def events(self, *, max_buffer: int = 256, kinds: Kinds = Event) -> EventStream:
        """Return a stream of events: `async with breaker.events() as stream: async for event in stream`.

        Args:
            max_buffer: Unread events that are kept, >= 1; a slow reader loses the oldest and is told so by
                `EventsDropped`.
            kinds: Which events, as for `subscribe()`.
        """
        engine = self.engine
        buffer = checks.count("max_buffer", max_buffer)
        return EventStream(engine.listeners(), buffer, kinds_of(kinds), engine.refresh)

    # Reading

    @property
    def name(self) -> str:
        """The breaker's name."""
        return self.engine.name

    @property
    def state(self) -> CircuitState:
        """The state; an open breaker whose time is over reads open until a call arrives."""
        return self.engine.machine.state

    def get_state(self) -> str:
        """Return the state as a plain string."""
        return self.engine.machine.state.value

    @property
    def generation(self) -> int:
        """Number of the current generation, from 1; every transition begins a new one."""
        return self.engine.machine.epoch.generation

    @property
    def failure_threshold(self) -> float:
        """The trip rule's first number."""
        return self.engine.machine.settings.trip_when.threshold

    @property
    def reset_timeout_seconds(self) -> float | Backoff:
        """The reset timeout, in the form of a backoff if it is one that grows."""
        backoff = self.engine.machine.settings.backoff
        seconds: float | None = getattr(backoff, "seconds", None)
        return backoff if seconds is None else seconds

    @property
    def expected_exception(self) -> ExceptionSpec:
        """What counts as a failure."""
        return self.engine.machine.settings.expected_exception

    @property
    def failure_count(self) -> int:
        """The run of failures, or those in the window of another rule; frozen while open, 0 after closing."""
        return self.engine.machine.failure_count(self.engine.now())

    @property
    def last_failure_time(self) -> datetime | None:
        """When the latest counted failure was, as an aware UTC datetime; None before the first."""
        failed_at = self.engine.failed_at
        return None if failed_at is None else datetime.fromtimestamp(failed_at, UTC)

    @property
    def retry_after(self) -> float | None:
        """Seconds until a call has a chance, 0 if it has one now; None if that is not known."""
        return self.engine.machine.retry_after(self.engine.now())

    def snapshot(self) -> Snapshot:
        """Return the state and all counts as a value."""
        return snapshot_of(self.engine)

    def health(self) -> dict[str, Any]:
        """Return the state and all counts as a JSON-ready dictionary.

        An open breaker is degraded, not dead: do not wire this into a readiness or liveness check, restarting a process
        does not heal what it depends on.
        """
        return health_of(self.engine)

    def explain(self) -> str:
        """Return a sentence: the state, since when, why, in numbers, the last error, and what happens next."""
        return explain(self.engine.name, self.snapshot())

    def __repr__(self) -> str:
        """Name the breaker and its state."""
        return f"<CircuitBreaker {self.engine.name!r} {self.engine.machine.state}>"

    # Misuse

    async def __aenter__(self) -> NoReturn:
        """Refuse a block: whether it may run differs from one block to the next, so each has a guard of its own."""
        raise MisuseError(f"a block is protected by `async with breaker.guard()`, not by {self!r} itself")

    async def __aexit__(self, *exc_info: object) -> None:
        """Never reached; `async with` looks for it."""

    def __reduce__(self) -> NoReturn:
        """Refuse to be copied and pickled: two copies would each know half of what happens."""
        raise TypeError(
            f"circuit breaker {self.engine.name!r} can be neither copied nor pickled; share the object itself"
        )


def _permit_for(engine: Engine, answer: Ticket | CircuitBreakerOpenError) -> Permit | None:
    if isinstance(answer, CircuitBreakerOpenError):
        return None
    return AcquiredPermit(engine, answer, engine.start(answer))


def _settle_misuse(engine: Engine, ticket: Ticket, fn: object) -> None:
    """Release the ticket of a call of something that can't be called: it says nothing about the dependency."""
    engine.settle(ticket, Outcome.IGNORED, None)
    if inspect.iscoroutine(fn):
        fn.close()
    message = f"call() takes a function and its arguments, `await breaker.call(fn, *args)`, not {fn!r}"
    raise MisuseError(message) from None
