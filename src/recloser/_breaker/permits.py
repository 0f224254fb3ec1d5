"""Permits, for calls that start and end in different places, and the guard for a block of code."""

from __future__ import annotations

import inspect
import warnings
from typing import TYPE_CHECKING, Any

from recloser._breaker.error_text import FailureAt
from recloser._breaker.lease import admit_by_lease, try_admit_by_lease
from recloser._breaker.probe_context import enter_probe
from recloser._breaker.rejection import report_rejection
from recloser._breaker.repeats import note_place
from recloser._breaker.waits import Waits
from recloser._breaker.watch import returned, succeeded
from recloser._core import checks
from recloser._core.outcomes import Outcome
from recloser._core.tickets import NEEDS_LEASE, UNCOUNTED, Probe, ShadowCall, Ticket
from recloser._core.windows import ALWAYS, NEVER
from recloser.errors import CircuitBreakerOpenError, MisuseError

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from recloser._breaker.engine import Engine


class Permit:
    """The right to make one call; settle it once with `succeed()`, `fail()` or `ignore()`.

    Settling is synchronous, so a cancellation can't interrupt it. Settling again changes nothing. Used as a context
    manager, a permit is settled by the end of the block, in the same way as a call. A permit that is dropped without
    being settled is released and counted as leaked, with a ResourceWarning. `acquire()`, `try_acquire()`,
    `try_acquire_nowait()` and `guard()` return permits.
    """

    __slots__ = ("engine", "failures", "held", "started", "ticket", "waits")

    engine: Engine
    """Internal: the engine of the breaker that admitted the call."""
    failures: int
    """Internal: how many failures had been counted when the call started."""
    held: bool
    """Internal: whether the permit is still to be settled."""
    started: float | None
    """Internal: when the call started; None if its duration is not needed."""
    ticket: Any
    """Internal: a Ticket; typed as Any, because a ticket that is the breaker's live epoch is used as an epoch."""
    waits: Waits | None
    """Internal: the waits for the parts of the call; unset before the first part."""

    @property
    def generation(self) -> int:
        """The breaker's generation that admitted the call; 0 if none did.

        Calls from inside a probe are not counted, and those that only shadow mode admits are counted apart. A probe
        that a fleet granted has the fleet's generation, which increases from probe to probe across all processes: pass
        it to a dependency that can refuse older ones.
        """
        ticket: Ticket = self.ticket
        return ticket.generation

    @property
    def is_probe(self) -> bool:
        """Whether this is a probe."""
        return isinstance(self.ticket, Probe)

    def succeed(self) -> None:
        """Count the call as a success."""
        if not self.let_go():
            return
        engine, ticket = self.engine, self.ticket
        if engine.counting is ticket and self.started is None:
            ticket.successes = count = ticket.successes + 1
            if count >= ticket.look_at and (
                count >= ticket.sample_at or ticket.edge == ALWAYS or engine.now() >= ticket.edge
            ):
                engine.observe(ticket, None)
        elif (waits := getattr(self, "waits", None)) is None:
            succeeded(engine, self.last_ticket, self.started)
        else:
            engine.settle(self.last_ticket, Outcome.SUCCESS, self.started, sampled=waits.is_sample())

    def fail(
        self,
        exc: BaseException | None = None,
        *,
        reset_timeout_seconds: float | None = None,
        peer: str | None = None,
    ) -> None:
        """Count the call as a failure, whatever `expected_exception` says.

        Args:
            exc: What went wrong; only a text is kept.
            reset_timeout_seconds: If this failure opens the breaker, how long it stays open (finite, > 0), instead of
                the breaker's own `reset_timeout_seconds`; for dependencies that say when to retry.
            peer: The host and the port that were called, such as `api.example:443`; told together with `exc`.

        Raises:
            TypeError: `reset_timeout_seconds` is not a number, or `peer` no string; the permit stays unsettled.
            ValueError: `reset_timeout_seconds` is out of range; the permit stays unsettled.
        """
        seconds = reset_timeout_seconds
        if seconds is not None:
            seconds = checks.seconds("reset_timeout_seconds", seconds)
        failure = exc if peer is None or exc is None else FailureAt(exc, checks.one_line("peer", peer))
        if self.let_go():
            self.engine.settle(self.last_ticket, Outcome.FAILURE, self.started, failure, open_seconds=seconds)
            note_place(self.engine, self.engine.machine.epoch.failures, exc)

    def ignore(self, *, cancelled: bool = False) -> None:
        """Give the permit back; the call counts as ignored, neither as a success nor as a failure.

        Args:
            cancelled: Whether it was cut off from outside while it did something other than await its dependency.
        """
        if self.let_go():
            self.engine.settle(self.last_ticket, Outcome.IGNORED, self.started, cancelled=cancelled)

    def __enter__(self) -> Self:
        """Return the permit itself; calls through the breaker inside the block of a probe are part of that probe."""
        if isinstance(self.ticket, Probe):
            enter_probe(self.ticket)
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Settle the permit by the way the block ended, unless it is settled already."""
        if exc is None:
            self.succeed()
        elif self.let_go():
            waits = getattr(self, "waits", None)
            awaited_from = None if waits is None else waits.awaited_from
            self.engine.call_raised(self.last_ticket, exc, self.started, self.failures, awaited_from)
            note_place(self.engine, self.engine.machine.epoch.failures, exc)

    def returned(self, result: object) -> None:
        """Settle the permit by the result of the call, which counts as a failure if `failed_result` says so."""
        if self.let_go():
            returned(self.engine, self.last_ticket, result, self.started)

    def progress(self) -> None:
        """Note that the dependency works: the call has delivered a part, or a long job or a session has begun well.

        That settles a probe as a success at once, and gives its permit back to other calls. If it closes the breaker,
        the rest of the call is a call like any other of the closed breaker, with an outcome of its own. If more probes
        have to succeed, or the probe was too slow, the end of the rest is not counted. Other calls are not affected.
        """
        if self.held and isinstance(self.ticket, Probe):
            self._pass(self.ticket)

    def _pass(self, probe: Probe) -> None:
        """Settle the probe, if that still counts, but keep the permit if the rest of the call has a generation."""
        engine = self.engine
        if not engine.machine.may_pass(probe):
            return
        try:
            engine.settle(probe, Outcome.SUCCESS, self.started)
        finally:
            if probe.successor is None:
                self.let_go()

    @property
    def last_ticket(self) -> Ticket:
        """Internal: the ticket by which the end counts: that of the generation that a passed probe has begun."""
        ticket: Ticket = self.ticket
        return ticket.successor or ticket if isinstance(ticket, Probe) else ticket

    def pause(self) -> float | None:
        """Note that a part has come, and the call waits for something other than its dependency, such as its reader.

        Returns:
            The argument for `resume()`: the instant, or None if the duration of the call is not measured.
        """
        return None if self.started is None else self._waits_since(self.started).end()

    def resume(self, paused_at: float | None) -> float | None:
        """Exclude a pause from the call's duration, and note that the next part is awaited.

        If the call is cut off later, it was overdue if this wait was longer than those of calls that succeed.

        Args:
            paused_at: What `pause()` returned.

        Returns:
            The instant at which the call goes on, or None if the duration of the call is not measured.
        """
        if self.started is None or paused_at is None:
            return None
        now = self._waits_since(self.started).begin()
        self.started += now - paused_at
        return now

    def _waits_since(self, started: float) -> Waits:
        waits = getattr(self, "waits", None)
        if waits is None:
            self.waits = waits = Waits(self.engine, self.last_ticket, started)
        return waits

    def __repr__(self) -> str:
        """Name the breaker, and say whether the permit is a probe and whether it is settled."""
        kind = "probe" if isinstance(self.ticket, Probe) else "call"
        return f"<Permit of circuit breaker {self.engine.name!r} for a {kind}: {'held' if self.held else 'settled'}>"

    def let_go(self) -> bool:
        """Internal: let go of the permit; return whether it was still to be settled."""
        held, self.held = self.held, False
        return held


class AcquiredPermit(Permit):
    """A permit that reports itself as leaked if its holder drops it unsettled.

    The finaliser only notes the ticket, and the breaker releases it: a finaliser can run in any thread, and in the
    middle of a step.
    """

    __slots__ = ()

    failures: int
    held: bool
    waits: Waits | None

    def __init__(self, engine: Engine, ticket: Ticket, started: float | None) -> None:
        self.engine = engine
        self.ticket = ticket
        self.failures = ticket.failures
        self.started = started
        self.held = ticket is not UNCOUNTED

    def __del__(self) -> None:
        """If the permit is unsettled, have it released and counted as leaked."""
        if not self.held or isinstance(self.ticket, ShadowCall):
            return
        self.held = False
        self.engine.lose(self.last_ticket)
        warnings.warn(
            f"a permit of circuit breaker {self.engine.name!r} was dropped without succeed(), fail() or ignore()",
            ResourceWarning,
            stacklevel=2,
            source=self,
        )


async def acquire_permit(engine: Engine) -> AcquiredPermit:
    """Admit one call and return its permit, which the caller has to settle.

    Raises:
        CircuitBreakerOpenError: The breaker rejected the call.
    """
    ticket = engine.live
    if ticket is not None:
        return AcquiredPermit(engine, ticket, None)
    watch = engine.watch
    if watch is not None:
        return AcquiredPermit(engine, watch.epoch, engine.now())
    ticket = engine.admit()
    if ticket is NEEDS_LEASE:
        ticket = await admit_by_lease(engine)
    return AcquiredPermit(engine, ticket, engine.start(ticket))


async def try_acquire_permit(engine: Engine) -> AcquiredPermit | None:
    """Admit one call, unless the reset timeout rejects it right away; return its permit, None if it is rejected."""
    ticket = engine.try_admit()
    if ticket is NEEDS_LEASE:
        ticket = await try_admit_by_lease(engine)
    return permit_for(engine, ticket)


def permit_for(engine: Engine, answer: Ticket | CircuitBreakerOpenError) -> AcquiredPermit | None:
    """Return the permit of an admitted call, None for a rejected one."""
    if isinstance(answer, CircuitBreakerOpenError):
        return None
    return AcquiredPermit(engine, answer, engine.start(answer))


def try_acquire_permit_nowait(engine: Engine) -> AcquiredPermit | None:
    """Admit one call without asking a fleet, in any thread; None if it is rejected."""
    if engine.shut_until > ALWAYS and 0 < (left := engine.shut_until - (now := engine.now())) < NEVER:
        engine.machine.rejected += 1
        if engine.dispatcher is not None:
            report_rejection(engine, now, left)
        return None
    ticket = engine.try_admit()
    return permit_for(engine, engine.reject(engine.now()) if ticket is NEEDS_LEASE else ticket)


def settle_misuse(engine: Engine, ticket: Ticket, fn: object) -> None:
    """Settle a call of something that is not callable as ignored, and raise.

    Raises:
        TypeError: Always; the message says what `call()` takes.
    """
    engine.settle(ticket, Outcome.IGNORED, None)
    if inspect.iscoroutine(fn):
        fn.close()
    message = f"call() takes a function and its arguments, `await breaker.call(fn, *args)`, not {fn!r}"
    raise MisuseError(message) from None


class Guard(Permit):
    """A block of code under a breaker's protection: `async with breaker.guard() as permit`.

    Entering the block admits it or raises `CircuitBreakerOpenError`, without yielding to the event loop, unless it asks
    a fleet for a probe. The end of the block settles the permit, unless the block has settled it. A guard protects one
    block at a time, and can be entered again afterwards.
    """

    # guard() sets the fields: a constructor makes a guard a fifth slower. A guard on the closed path has no
    # finaliser: Python closes a coroutine that is dropped, and that ends the block.

    __slots__ = ("wire",)

    failures: int
    held: bool
    waits: Waits | None
    wire: AcquiredPermit | None
    """The permit of a block off the closed path; its finaliser reports a leak if the guard is dropped."""

    @property
    def generation(self) -> int:
        """As `Permit.generation`, once the block is entered."""
        self._check_entered()
        return super().generation

    @property
    def is_probe(self) -> bool:
        """Whether the block is a probe, once it is entered."""
        self._check_entered()
        return super().is_probe

    def __repr__(self) -> str:
        """Name the breaker, and say whether the block is running."""
        state = "in use" if self.held else "free"
        return f"<Guard of circuit breaker {self.engine.name!r}: {state}>"

    def _check_entered(self) -> None:
        if not hasattr(self, "ticket"):
            raise RuntimeError("this guard has no permit yet; enter it with `async with breaker.guard() as permit`")

    def __enter__(self) -> Self:
        """Refuse: a plain `with` would run the block without admission."""
        raise TypeError("a guard is entered with `async with breaker.guard()`, not with `with`")

    async def __aenter__(self) -> Self:
        """Admit the block.

        Raises:
            CircuitBreakerOpenError: The breaker rejected the block.
            RuntimeError: The guard is in use.
        """
        if self.held:
            raise RuntimeError("this guard is in use; call guard() for each block")
        engine = self.engine
        ticket = engine.live
        if ticket is not None:
            self.started = None
            self.held = True
        elif (watch := engine.watch) is not None:
            ticket, self.waits = watch.epoch, None
            self.started = engine.now()
            self.held = True
        else:
            self.wire = wire = await acquire_permit(engine)
            ticket = wire.ticket
            if isinstance(ticket, Probe):
                enter_probe(ticket)
            self.started, self.waits = wire.started, None
            self.held = wire.held
        self.ticket = ticket
        self.failures = ticket.failures
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Settle the permit by the way the block ended, unless it is settled already."""
        if exc is not None or not self.held or self.wire is not None:
            self.__exit__(exc_type, exc, traceback)
            return
        self.held = False
        engine, ticket = self.engine, self.ticket
        if engine.counting is not ticket:
            succeeded(engine, ticket, self.started)
            return
        ticket.successes = count = ticket.successes + 1
        if count >= ticket.look_at and (
            count >= ticket.sample_at or ticket.edge == ALWAYS or engine.now() >= ticket.edge
        ):
            engine.observe(ticket, self.started)

    def let_go(self) -> bool:
        """Internal: as of any permit, and of the one that holds the place of this one."""
        wire, self.wire = self.wire, None
        if wire is not None:
            wire.held = False
        return super().let_go()
