"""Permits: an admission in the hand, for calls whose end is seen elsewhere."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from recloser._breaker.fleet_port import admit_by_lease
from recloser._breaker.probe_context import enter_probe
from recloser._core import checks
from recloser._core.outcomes import Outcome
from recloser._core.tickets import NEEDS_LEASE, UNCOUNTED, Probe, Ticket

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from recloser._breaker.engine import Engine


class Permit:
    """The right to make one call, to be settled once by `succeed()`, `fail()` or `ignore()`.

    Settling is synchronous, so that it cannot be cancelled halfway; settling again changes nothing. As a context
    manager the permit is settled by how the block ends, exactly as a call would be. A permit that is dropped unsettled
    is released as ignored and counted as leaked, with a ResourceWarning. Made by `acquire()`, `try_acquire()`,
    `try_acquire_nowait()` and `guard()`.
    """

    __slots__ = ("engine", "held", "started", "ticket")

    engine: Engine
    held: bool
    started: float | None
    ticket: Any
    """A Ticket; Any, because one that is identical to the breaker's live epoch is an epoch."""

    @property
    def generation(self) -> int:
        """The breaker's generation that admitted the call; 0 for one that counts for nothing.

        That is a call that shadow mode alone let through, or one from inside a probe. A probe that a fleet
        granted has the fleet's generation, which grows from one to the next in all processes: hand it to the dependency
        where that can refuse older ones.
        """
        ticket: Ticket = self.ticket
        return ticket.generation

    @property
    def is_probe(self) -> bool:
        """Whether this is a probe."""
        return isinstance(self.ticket, Probe)

    def succeed(self) -> None:
        """Count the call as a success."""
        if not self._let_go():
            return
        engine, ticket = self.engine, self.ticket
        if engine.live is ticket:
            ticket.successes += 1
            if ticket.watch:
                engine.observe(ticket)
        else:
            engine.settle(ticket, Outcome.SUCCESS, self.started)

    def fail(self, exc: BaseException | None = None, *, open_seconds: float | None = None) -> None:
        """Count the call as a failure, whatever `expected_exception` says.

        Args:
            exc: What went wrong; only its type and message are kept.
            open_seconds: If this failure opens the breaker, how long it stays open, in place of what
                `reset_timeout_seconds` says (finite, > 0): for dependencies that tell when to come back.

        Raises:
            TypeError: `open_seconds` is no number; the permit is not settled.
            ValueError: `open_seconds` is out of its range; the permit is not settled.
        """
        if open_seconds is not None:
            open_seconds = checks.seconds("open_seconds", open_seconds)
        if self._let_go():
            self.engine.settle(self.ticket, Outcome.FAILURE, self.started, exc, open_seconds=open_seconds)

    def ignore(self) -> None:
        """Give the permit back; the call counts neither as a success nor as a failure."""
        if self._let_go():
            self.engine.settle(self.ticket, Outcome.IGNORED, self.started)

    def __enter__(self) -> Self:
        """Return the permit itself; what the block of a probe calls through the breaker is a part of it."""
        if isinstance(self.ticket, Probe):
            enter_probe(self.ticket)
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Settle the permit by how the block ended, unless that has been done."""
        if exc is None:
            self.succeed()
        elif self._let_go():
            self.engine.call_raised(self.ticket, exc, self.started)

    def returned(self, result: object) -> None:
        """Settle the permit by what the call returned."""
        if self._let_go():
            self.engine.call_returned(self.ticket, result, self.started)

    def progress(self) -> None:
        """Note that the call has delivered something; a probe that did so is not failed by its time limit.

        For calls that deliver in parts, such as streams and bodies of responses.
        """
        if isinstance(self.ticket, Probe):
            self.ticket.progressed = True

    def pause(self) -> float | None:
        """Note that time begins to pass which is not the dependency's, such as a reader's between two parts.

        Returns:
            What `resume()` takes: the instant, or None if nobody wants to know how long the call takes.
        """
        return None if self.started is None else self.engine.now()

    def resume(self, paused_at: float | None) -> float | None:
        """Take the time of a pause out of the call's duration; return the instant at which the call goes on.

        Args:
            paused_at: What `pause()` returned.
        """
        if self.started is None or paused_at is None:
            return None
        now = self.engine.now()
        self.started += now - paused_at
        return now

    def _let_go(self) -> bool:
        held, self.held = self.held, False
        return held


class AcquiredPermit(Permit):
    """A permit in the hands of a caller who may drop it.

    The finaliser leaves the release to the breaker: it may run in the middle of a step, or in any thread.
    """

    __slots__ = ()

    def __init__(self, engine: Engine, ticket: Ticket, started: float | None) -> None:
        self.engine = engine
        self.ticket = ticket
        self.started = started
        self.held = ticket is not UNCOUNTED

    def __del__(self) -> None:
        """Have the permit released as ignored and counted as leaked, if it was not settled."""
        if not self.held:
            return
        self.held = False
        self.engine.lose(self.ticket)
        warnings.warn(
            f"a permit of circuit breaker {self.engine.name!r} was dropped without succeed(), fail() or ignore()",
            ResourceWarning,
            stacklevel=2,
            source=self,
        )


async def acquire_permit(engine: Engine) -> AcquiredPermit:
    """Admit one call and return its permit, to be settled by the caller.

    Raises:
        CircuitBreakerOpenError: The breaker rejects the call.
    """
    ticket = engine.live
    if ticket is not None:
        return AcquiredPermit(engine, ticket, None)
    ticket = engine.admit()
    if ticket is NEEDS_LEASE:
        ticket = await admit_by_lease(engine)
    return AcquiredPermit(engine, ticket, engine.start(ticket))


class Guard(Permit):
    """A block under a breaker's protection: `async with breaker.guard() as permit`.

    Entering admits the call or raises `CircuitBreakerOpenError`; it does not yield to the event loop. The block's end
    settles the permit, unless the block did. One guard is one block at a time, and may be entered again afterwards.

    `guard()` sets its fields: a constructor of its own would add a fifth to what a guard costs. On the closed path it
    has no finaliser either: Python ends the block of a coroutine that is dropped.
    """

    __slots__ = ("wire",)

    wire: AcquiredPermit | None
    """Holds the ticket of what is not on the closed path too, so that it is noticed if the guard is dropped."""

    @property
    def generation(self) -> int:
        """As of any permit, once the guard has been entered."""
        self._check_entered()
        return super().generation

    @property
    def is_probe(self) -> bool:
        """As of any permit, once the guard has been entered."""
        self._check_entered()
        return super().is_probe

    def _check_entered(self) -> None:
        if not hasattr(self, "ticket"):
            raise RuntimeError("this guard has no permit yet; enter it by `async with breaker.guard() as permit`")

    def __enter__(self) -> Self:
        """Refuse to protect nothing: the block would run whatever the breaker says."""
        raise TypeError("a guard is entered with `async with breaker.guard()`, not with `with`")

    async def __aenter__(self) -> Self:
        """Admit the block.

        Raises:
            CircuitBreakerOpenError: The breaker rejects it.
            RuntimeError: The guard is in use.
        """
        if self.held:
            raise RuntimeError("this guard is in use; call guard() for each block")
        engine = self.engine
        ticket = engine.live
        if ticket is None:
            self.wire = wire = await acquire_permit(engine)
            ticket = wire.ticket
            if isinstance(ticket, Probe):
                enter_probe(ticket)
            self.started = wire.started
            self.held = wire.held
        else:
            self.started = None
            self.held = True
        self.ticket = ticket
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Settle the permit by how the block ended, unless that has been done."""
        ticket = self.ticket
        if exc is None and self.held and self.engine.live is ticket and self.wire is None:
            self.held = False
            ticket.successes += 1
            if ticket.watch:
                self.engine.observe(ticket)
        else:
            self.__exit__(exc_type, exc, traceback)

    def _let_go(self) -> bool:
        wire, self.wire = self.wire, None
        if wire is not None:
            wire.held = False
        return super()._let_go()
