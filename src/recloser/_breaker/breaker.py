"""The public class of a circuit breaker."""

from __future__ import annotations

import functools
import inspect
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Never, NoReturn, ParamSpec, TypeVar, overload
from weakref import ref

from recloser._breaker import control, permits
from recloser._breaker.classify import counts_as_failure, raised
from recloser._breaker.clock import checked_clock
from recloser._breaker.decorate import protect
from recloser._breaker.dispatch import EventStream, listen
from recloser._breaker.engine import Engine
from recloser._breaker.lease import admit_by_lease
from recloser._breaker.permits import Guard, Permit
from recloser._breaker.reading import failure_threshold_of, health_of, last_failure_of, reset_timeout_of, snapshot_of
from recloser._breaker.refusals import NotAsyncFunction, Unblockable, checked_name, checked_random
from recloser._breaker.rejection import report_rejection
from recloser._breaker.sync import SyncDoor
from recloser._breaker.unfinished import is_finished, protect_unfinished
from recloser._breaker.watch import returned
from recloser._breaker.worker_thread import call_in_thread
from recloser._core.events import Event
from recloser._core.explain import explain
from recloser._core.settings import DEFAULTS, OPTIONS
from recloser._core.states import CircuitState, Trigger
from recloser._core.tickets import NEEDS_LEASE
from recloser._core.windows import ALWAYS, NEVER
from recloser.errors import MisuseError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
    from datetime import datetime
    from random import Random
    from typing import Unpack

    from recloser._breaker.dispatch import Kinds
    from recloser._breaker.health import BreakerHealth
    from recloser._core.backoff import Backoff
    from recloser._core.events import Snapshot
    from recloser._core.outage import Outage
    from recloser._core.outcomes import ExceptionSpec
    from recloser._core.settings import DescribeError, Options
    from recloser._core.trip import TripRule

E = TypeVar("E", bound=Event)
P = ParamSpec("P")
T = TypeVar("T")
AsyncFunction = TypeVar("AsyncFunction", bound="Callable[..., Coroutine[Any, Any, Any] | AsyncIterator[Any]]")


class CircuitBreaker(Unblockable):
    """Protects the calls to one dependency: after repeated failures, calls fail fast until a probe succeeds.

    Create a breaker anywhere, also at import time. It works on asyncio and trio, in any number of event loops and
    threads at once. Reading and controlling it is safe from any thread. A call that a probe makes through the same
    breaker is part of that probe and is not counted separately. Breakers can't be copied or pickled.

    A breaker that is created with this class is in no registry, so it is in no health report, no metric and no
    dashboard. `BreakerRegistry.breaker(name)` creates one that is; `BreakerRegistry.add(breaker)` adds it later.

    Args:
        name: The name in errors, logs, events and health; by default `breaker-<n>`, unique in the process.
        failure_threshold: How many consecutive failures open the breaker (>= 1), 5 by default. Short for
            `trip_when=ConsecutiveFailures(n)`; the two exclude each other.
        reset_timeout_seconds: How long the breaker stays open before it admits a probe: seconds (finite, >= 0) or an
            `ExponentialBackoff`.
        expected_exception: What counts as a failure: an exception type, a tuple of types, or a predicate on the
            exception. Any other `Exception` shows that the dependency answered and counts as a success; any other
            `BaseException` is ignored, unless a type given here names it. The leaves of an exception group decide.
        ignored_exception: What is ignored, in the same forms. It overrides `expected_exception`. Rejections by other
            breakers are always ignored.
        failed_result: A predicate on the returned value: if it is true, the call counts as a failure. The caller gets
            the value either way.
        trip_when: The trip rule: `ConsecutiveFailures`, `FailureRate`, `FailureCount`, `SlowCallRate`, or several
            joined by `|`.
        success_threshold: How many probes must succeed before the breaker closes (>= 1).
        max_probes: How many probes may run at once while the breaker is half-open (>= 1).
        probe_timeout_seconds: How long a probe may run before the next call counts it as failed (finite, > 0). By
            default the larger of the current reset timeout and 60 s.
        overdue_after_seconds: A call that a deadline or another cancellation cuts off counts as a failure if it had
            been awaited for at least this long (>= 0; infinity: never), else it is ignored. By default the breaker
            learns how long successes take: what was awaited for longer is overdue.
        shadow: Decide and report as usual, but reject no call; `health()` says what would have been rejected.
        describe_error: Returns an exception as text, for logs, health and events; or `"type"`: the text is its type.
            By default it is the type and the cause, without secrets, on one line of at most 200 characters.
        clock: Returns monotonic seconds; None means `time.monotonic`.
        random: The source of randomness for the jitter of a backoff; None means that of the operating system.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument is out of range, or `trip_when` and `failure_threshold` are both given.
    """

    __slots__ = ("__weakref__", "engine")

    engine: Engine
    """Internal: admits and settles the calls."""

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
        overdue_after_seconds: float | None = None,
        shadow: bool = False,
        describe_error: DescribeError = None,
        clock: Callable[[], float] | None = None,
        random: Random | None = None,
    ) -> None:
        given = locals()  # the settings have the names of the arguments
        name = checked_name(name)
        settings = DEFAULTS.changed({option: given[option] for option in OPTIONS})
        self.engine = Engine(name, settings, checked_clock(clock), checked_random(random))
        # A subclass may have state of its own, which a new breaker around the engine would not have.
        self.engine.face = ref(self) if type(self) is CircuitBreaker else lambda: self

    @classmethod
    def around(cls, engine: Engine) -> CircuitBreaker:
        """Internal: return the breaker around an engine: the living one if there is one, else a new one."""
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
        """Call a function under protection and return its result.

        Admitting the call and counting its outcome are synchronous: only `fn` awaits, and a probe that needs a fleet's
        lease. A cancellation propagates; it counts as a failure if the call was overdue, else it is ignored.

        Args:
            fn: A function that returns an awaitable or a plain value. An async generator is protected to its end.
            *args: Positional arguments for `fn`.
            **kwargs: Keyword arguments for `fn`.

        Raises:
            CircuitBreakerOpenError: The breaker rejected the call; `fn` was not called.
            TypeError: `fn` is not callable, is an async generator function, or has returned what can't be protected.
            BaseException: Whatever `fn` raises, the same object.
        """
        engine = self.engine
        epoch, started = engine.live, None
        if epoch is None:
            if (watch := engine.watch) is not None:
                epoch, started = watch.epoch, engine.now()
            else:
                if (epoch := engine.admit()) is NEEDS_LEASE:
                    epoch = await admit_by_lease(engine)
                started = engine.begin(epoch)
        failures = epoch.failures
        try:
            result: Any = fn(*args, **kwargs)
            if type(result) is CoroutineType or inspect.isawaitable(result):
                result = await result
            if type(result) is not engine.returned and not is_finished(engine, result):
                return await protect_unfinished(engine, epoch, fn, result, started)
        except:
            if not callable(fn):
                permits.settle_misuse(engine, epoch, fn)
            engine.call_raised(epoch, raised(), started, failures)
            raise
        if started is not None or engine.counting is not epoch:
            return returned(engine, epoch, result, started)
        epoch.successes = count = epoch.successes + 1
        if count >= epoch.look_at and (count >= epoch.sample_at or epoch.edge == ALWAYS or engine.now() >= epoch.edge):
            engine.observe(epoch, None)
        return result

    @overload
    def __call__(self, fn: AsyncFunction, /) -> AsyncFunction: ...
    @overload
    def __call__(self, fn: NotAsyncFunction, /) -> Never: ...
    def __call__(self, /, *functions: Any) -> Any:
        """Decorate a coroutine function or an async generator function; checkers don't see the wrapper's `.breaker`.

        An async generator is one call, from its first step to its end. An error on the way counts as it does for any
        call. Closing it after the first item counts as a success, before the first item it is ignored. If it is cut
        off, the wait for the item under way counts. The time that the reader spends between items is not part of the
        call's duration.

        Raises:
            TypeError: `fn` is neither; the message says what to use instead.
        """
        if len(functions) != 1:
            raise MisuseError("decorate a function with `@breaker`, or call one with `await breaker.call(fn, ...)`")
        wrapper: Any = protect(self.engine, self.call, *functions)
        wrapper.breaker = self
        return wrapper

    async def call_in_thread(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking function in a worker thread under protection and return its result.

        The call ends when the thread does. A cancelled scope waits for that; a bare `task.cancel()` of asyncio returns
        at once, and the thread runs on: its outcome still counts.

        Raises:
            CircuitBreakerOpenError: The breaker rejected the call; no thread was started.
            TypeError: `fn` is not callable, is asynchronous, or returns an awaitable or an async generator.
            BaseException: Whatever `fn` raises, the same object.
        """
        result: T = await call_in_thread(self.engine, fn, functools.partial(fn, *args, **kwargs))
        return result

    @property
    def sync(self) -> SyncDoor:
        """The door for synchronous code: this breaker for functions, blocks and calls that are not awaited."""
        return SyncDoor(self.engine)

    def guard(self) -> Guard:
        """Return an async context manager that protects a block of code; `async with` yields the block's permit.

        Don't `yield` inside the block: what the reader calls would be part of a probe. Decorate the generator instead.
        """
        guard = Guard()
        guard.engine = self.engine
        guard.started = guard.wire = None
        guard.held = False
        return guard

    async def acquire(self) -> Permit:
        """Admit one call and return its permit, which the caller has to settle.

        Does not yield to the event loop, unless it asks a fleet for a probe. Raises CircuitBreakerOpenError.
        """
        return await permits.acquire_permit(self.engine)

    async def try_acquire(self) -> Permit | None:
        """Like `acquire()`, but return None if the call is rejected."""
        engine = self.engine
        if engine.shut_until > ALWAYS and 0 < (left := engine.shut_until - (now := engine.now())) < NEVER:
            engine.machine.rejected += 1
            if engine.dispatcher is not None:
                report_rejection(engine, now, left)
            return None
        return await permits.try_acquire_permit(engine)

    def try_acquire_nowait(self) -> Permit | None:
        """Admit one call and return its permit, or None if it is rejected; for synchronous hooks, in any thread.

        It never waits for a fleet, so it makes no probes while a fleet leads.
        """
        return permits.try_acquire_permit_nowait(self.engine)

    async def wait_until_ready(self, timeout_seconds: float | None = None) -> bool:
        """Wait until a call has a chance: the breaker is closed, its reset timeout has elapsed, or a probe is free.

        A rejected call does not yield to the event loop, so retrying in a tight loop blocks it; wait here instead. Any
        number of tasks may wait, but only `max_probes` of them get through. Always a checkpoint; cancelling it changes
        nothing.

        Args:
            timeout_seconds: How long to wait at most (finite, >= 0); None means no limit.

        Returns:
            Whether a call has a chance now. It can still be rejected: if a probe has timed out, the next call notices
            that, and a new reset timeout may begin.
        """
        return await control.wait_until_ready(self.engine, timeout_seconds)

    # Control

    def force_open(self, reason: str, *, for_seconds: float | None = None, author: str = "") -> None:
        """Reject all calls. Works in any thread, also without an event loop.

        Running calls go on, and their outcomes are late.

        Args:
            reason: Why; shown in rejections, logs and health.
            for_seconds: How long (finite, > 0); then the next call is a probe. None means until `reset()`.
            author: Who does it; shown in logs and health.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: `for_seconds` is out of range, or `reason` is empty.
        """
        control.change_by_hand(self.engine, Trigger.FORCED_OPEN, control.given_reason(reason), author, for_seconds)

    def disable(self, reason: str | None = None, *, for_seconds: float | None = None, author: str = "") -> None:
        """Admit and count all calls and never trip. Works in any thread, also without an event loop.

        Args:
            reason: Why; shown in logs and health.
            for_seconds: How long (finite, > 0); then the next call closes the breaker. None means until `reset()`.
                With a time, each call reads the clock, and costs a little more.
            author: Who does it; shown in logs and health.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: `for_seconds` is out of range.
        """
        control.change_by_hand(self.engine, Trigger.DISABLED, reason, author, for_seconds)

    def reset(self, reason: str | None = None, *, author: str = "") -> None:
        """Close the breaker and clear what its rule has counted. Works in any thread, also without an event loop.

        In a fleet, it closes only this breaker, and only until the fleet moves it again; `Fleet.reset()` closes it in
        all processes.

        Args:
            reason: Why; shown in logs and health.
            author: Who does it; shown in logs and health.

        Raises:
            TypeError: An argument has the wrong type.
        """
        control.change_by_hand(self.engine, Trigger.RESET, reason, author)

    def reconfigure(self, **settings: Unpack[Options]) -> None:
        """Change settings, named as in the constructor; state, generation, running reset timeout and window stay.

        A running half-open episode keeps its settings. A window keeps its latest calls; a rule of another kind starts
        empty. Works in any thread, also without an event loop.

        Raises:
            TypeError: A setting is unknown or has the wrong type.
            ValueError: A setting is out of range.
        """
        control.reconfigure(self.engine, dict(settings))

    # Listening

    @overload
    def subscribe(self, listener: Callable[[Event], object]) -> Callable[[], None]: ...
    @overload
    def subscribe(self, listener: Callable[[E], object], kinds: type[E]) -> Callable[[], None]: ...
    @overload
    def subscribe(self, listener: Callable[[Any], object], kinds: tuple[type[Event], ...]) -> Callable[[], None]: ...
    def subscribe(self, listener: Callable[[Any], object], kinds: Kinds = Event) -> Callable[[], None]:
        """Call a listener with each event from now on; return a function that unsubscribes it.

        The listener runs in the task that causes the event, after the state has changed, so it should be quick. What it
        raises is logged, except KeyboardInterrupt and SystemExit, which propagate.

        Args:
            listener: A synchronous callable that takes an event.
            kinds: Which events: a type or a tuple of types; all by default. `CallSucceeded` makes a success through a
                closed breaker cost three to four times as much: two clock readings, an event and the listener. All
                other kinds cost it nothing. Without `CallSucceeded`, calls are not timed for the listener, and the
                `duration_seconds` of other events may be None.

        Raises:
            TypeError: The listener is not a synchronous callable, or `kinds` are not event types.
            ValueError: No breaker reports events of these kinds.
        """
        return listen(self.engine.listeners(), listener, kinds, self.engine.refresh)

    @overload
    def events(self, *, max_buffer: int = 256) -> EventStream[Event]: ...
    @overload
    def events(self, *, max_buffer: int = 256, kinds: type[E]) -> EventStream[E]: ...
    @overload
    def events(self, *, max_buffer: int = 256, kinds: tuple[type[E], ...]) -> EventStream[E]: ...
    def events(self, *, max_buffer: int = 256, kinds: Kinds = Event) -> EventStream[Any]:
        """Return a stream of events: `async with breaker.events() as stream: async for event in stream`.

        Args:
            max_buffer: How many unread events are kept (>= 1). A slow reader loses the oldest; the stream counts them.
            kinds: Which events, as for `subscribe()`. If they include `EventsDropped`, as all events do, a slow reader
                gets one in place of the events that it lost.
        """
        return EventStream(self.engine.listeners(), max_buffer, kinds, self.engine.refresh)

    # Reading

    @property
    def name(self) -> str:
        """The breaker's name."""
        return self.engine.name

    @property
    def is_ready(self) -> bool:
        """Whether a call has a chance now: the breaker is closed, its reset timeout has elapsed, or a probe is free.

        No promise: another caller may take the probe first. Use it to skip work that would be in vain, and go on to
        make the call when it is true; a breaker recovers only through calls. Reading it changes nothing.
        `wait_until_ready()` waits for it.
        """
        return control.seconds_until_ready(self.engine) <= 0

    @property
    def state(self) -> CircuitState:
        """The state. An open breaker stays open after its reset timeout until a call arrives.

        Don't skip calls while it is `open`: without a call there is no probe, and the breaker never closes again. Make
        the call and handle `CircuitBreakerOpenError`, or look at `is_ready`.
        """
        return self.engine.machine.state

    def get_state(self) -> str:
        """Return the state as a plain string."""
        return self.engine.machine.state.value

    @property
    def generation(self) -> int:
        """The number of the current generation, from 1; every transition starts a new one."""
        return self.engine.machine.epoch.generation

    @property
    def failure_threshold(self) -> int | None:
        """How many failures open the breaker, by the first of its rules; None if that is about a share of the calls."""
        return failure_threshold_of(self.engine)

    @property
    def reset_timeout_seconds(self) -> float | Backoff:
        """The reset timeout in seconds, or the backoff if it is exponential."""
        return reset_timeout_of(self.engine)

    @property
    def expected_exception(self) -> ExceptionSpec:
        """What counts as a failure."""
        return self.engine.machine.settings.expected_exception

    @property
    def failure_count(self) -> int:
        """The consecutive failures, or those in the window of another rule; frozen while open, 0 after closing.

        For display. Don't compare it with a threshold of your own to skip calls: while open, it never falls.
        """
        return self.engine.machine.failure_count(self.engine.now())

    @property
    def last_failure_time(self) -> datetime | None:
        """The time of the latest counted failure, as an aware UTC datetime; None before the first one."""
        return last_failure_of(self.engine)

    @property
    def retry_after(self) -> float | None:
        """Seconds until a call has a chance, 0 if it has one now; None if unknown, such as while a probe runs.

        For a `Retry-After` header or a message. To skip calls or to wait, use `is_ready` or `wait_until_ready()`: None
        does not say that a call would be rejected.
        """
        return self.engine.machine.retry_after(self.engine.now())

    @property
    def outage(self) -> Outage | None:
        """The outage that goes on: the time since the breaker left closed, as one thing; None if there is none."""
        return self.snapshot().outage

    @property
    def outages(self) -> tuple[Outage, ...]:
        """The latest outages that have ended, at most three, the latest last."""
        return self.engine.machine.outages

    def snapshot(self) -> Snapshot:
        """Return the state and all counts as a value."""
        return snapshot_of(self.engine)

    def health(self) -> BreakerHealth:
        """Return the state and all counts as a JSON-ready dictionary, a `recloser.registry.BreakerHealth`.

        Later releases may add keys, and change none.

        An open breaker means degraded, not dead. Don't use it as a readiness or liveness check: restarting this process
        does not repair its dependency.
        """
        return health_of(self.engine)

    def is_failure(self, exc: BaseException) -> bool:
        """Return whether the breaker counts an exception of a call as a failure.

        Pass it on as `on=breaker.is_failure` to `Retry`, `Hedge` and `Fallback`, so that all have one definition of a
        failure. A rejection and a cancellation are none. What a predicate of the settings raises reaches the caller.

        Raises:
            TypeError: It is not an exception.
        """
        return counts_as_failure(self.engine, exc)

    def explain(self) -> str:
        """Return a sentence with the state, how long it has lasted, its cause in numbers, and what happens next."""
        return explain(self.engine.name, self.snapshot())

    def __repr__(self) -> str:
        """Return the breaker's name and state."""
        return f"<CircuitBreaker {self.engine.name!r} {self.engine.machine.state}>"

    def __reduce__(self) -> NoReturn:
        """Refuse to be copied or pickled: each copy would see only some of the calls."""
        self.engine.__reduce__()
