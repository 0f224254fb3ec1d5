"""Forwards async generators, and protects their iterations: one permit from the first step to the end.

All items pass through one loop, in `pump`. Most streams only need to know how they end, and for those the loop calls
nothing of the library between two items. A stream whose duration is measured excludes its reader's time, and a probe
passes with its first item: these have a `pause`. Which kind a stream is does not change after its admission.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from recloser._breaker.classify import raised
from recloser._breaker.permits import acquire_permit
from recloser._breaker.probe_context import enter_probe, leave_probe
from recloser._breaker.readers import Throw, error_of_source
from recloser._breaker.waits import Waits
from recloser._core.tickets import Probe

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from recloser._breaker.engine import Engine
    from recloser._breaker.permits import Permit

_NO_ITEM = object()


def protect_generator(
    choose: Callable[[tuple[Any, ...], dict[str, Any]], Engine], fn: Callable[..., AsyncGenerator[Any, Any]]
) -> Callable[..., AsyncGenerator[Any, Any]]:
    """Return a protected async generator function; `choose` picks the breaker by the arguments of each call."""

    async def admit(args: tuple[Any, ...], kwargs: dict[str, Any]) -> ProtectedStream:
        return stream_of(await acquire_permit(choose(args, kwargs)))

    return pump(admit, fn)


class Stream(ABC):
    """What a policy or a breaker does about one iteration of an async generator."""

    __slots__ = ()

    @property
    def pause(self) -> Callable[[], float] | None:
        """What to call when the generator waits for its reader; it returns the instant. None: don't call `resume()`."""
        return None

    def resume(self, paused_at: float) -> None:  # noqa: B027 - a stream without a pause need not know
        """Note that the reader asks for the next item or leaves.

        Args:
            paused_at: What `pause` returned.
        """

    def blame(self, exc: BaseException, thrown: BaseException, item: object) -> BaseException:  # noqa: ARG002 - for those that judge
        """Return what `ended()` is told about an iteration into which the reader has thrown an exception.

        Args:
            exc: The exception that ended the iteration.
            thrown: What the reader has thrown last.
            item: The last item.
        """
        return exc

    @abstractmethod
    def ended(self, exc: BaseException | None, *, has_delivered: bool) -> None:
        """Note the end of the iteration.

        Args:
            exc: The exception that ended it, or what `blame()` returned; None after the last item.
            has_delivered: Whether the generator has yielded an item.
        """


class ProtectedStream(Stream):
    """One protected iteration, which holds a permit until it ends."""

    __slots__ = ("_handled", "_permit", "engine")

    def __init__(self, permit: Permit) -> None:
        self._permit = permit
        self.engine = permit.engine
        self._handled = id(raised())  # the exception itself would keep its frames alive

    def blame(self, exc: BaseException, thrown: BaseException, item: object) -> BaseException:
        """Return the error of the source; a GeneratorExit, as of an early close, if there is only one of the reader."""
        return error_of_source(self._permit.engine, exc, Throw(thrown, item, self._handled)) or GeneratorExit()

    def ended(self, exc: BaseException | None, *, has_delivered: bool) -> None:
        """Settle the permit: if the reader closes the stream after an item, the dependency has answered."""
        if exc is None or (has_delivered and isinstance(exc, GeneratorExit)):
            self._permit.succeed()
        else:
            self._permit.__exit__(type(exc), exc, None)


class MeasuredStream(ProtectedStream):
    """A protected iteration whose duration is measured, without the time that its reader takes."""

    __slots__ = ("_started", "_waits")

    def __init__(self, permit: Permit, started: float) -> None:
        super().__init__(permit)
        self._started = started
        self._waits = permit.waits = Waits(permit.engine, permit.last_ticket, started)

    @property
    def pause(self) -> Callable[[], float]:
        """Notes that an item has come, and returns the time."""
        return self._waits.end

    def resume(self, paused_at: float) -> None:
        """Exclude the pause from the call's duration."""
        self._started += self._waits.begin() - paused_at

    def ended(self, exc: BaseException | None, *, has_delivered: bool) -> None:
        """Settle the permit; the call's duration is the time that the generator has taken."""
        self._permit.started = self._started
        super().ended(exc, has_delivered=has_delivered)


class ProbeStream(MeasuredStream):
    """A protected iteration that is a probe until its first item; what its reader does is not part of the probe."""

    __slots__ = ("_probe",)

    def __init__(self, permit: Permit, probe: Probe) -> None:
        super().__init__(permit, probe.admitted_at)
        self._probe = probe
        enter_probe(probe)

    @property
    def pause(self) -> Callable[[], float]:
        """Settles the probe and leaves it."""
        return self._pause

    def _pause(self) -> float:
        self._permit.progress()
        self._waits.ticket = self._permit.last_ticket
        now = self._waits.end()
        leave_probe(self._probe)
        return now

    def ended(self, exc: BaseException | None, *, has_delivered: bool) -> None:
        """Leave the probe and settle the permit."""
        leave_probe(self._probe)
        super().ended(exc, has_delivered=has_delivered)


def stream_of(permit: Permit) -> ProtectedStream:
    """Return the protected iteration that a permit is for."""
    ticket, started = permit.ticket, permit.started
    if isinstance(ticket, Probe):
        return ProbeStream(permit, ticket)
    return ProtectedStream(permit) if started is None else MeasuredStream(permit, started)


def pump(
    admit: Callable[[tuple[Any, ...], dict[str, Any]], Awaitable[Stream]],
    fn: Callable[..., AsyncGenerator[Any, Any]],
) -> Callable[..., AsyncGenerator[Any, Any]]:
    """Return an async generator function that wraps another one and forwards items, values and exceptions.

    Args:
        admit: Admits an iteration by the arguments of its call, or raises.
        fn: The async generator function.
    """

    async def protected(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:  # noqa: ANN401 - the signature is the function's
        stream = await admit(args, kwargs)
        item = _NO_ITEM
        thrown: BaseException | None = None
        try:
            source = fn(*args, **kwargs)
            send, pause = source.asend, stream.pause
            step: Any = send(None)
            while True:
                try:
                    item = await step
                except StopAsyncIteration:
                    break
                try:
                    if pause is None:
                        sent = yield item
                    else:
                        paused_at = pause()
                        try:
                            sent = yield item
                        finally:
                            stream.resume(paused_at)
                except GeneratorExit:
                    await source.aclose()
                    raise
                except BaseException as exc:  # noqa: BLE001 - forwarded to the function's own generator
                    thrown = exc
                    step = source.athrow(exc)
                else:
                    step = send(sent)
        except BaseException as exc:
            stream.ended(exc if thrown is None else stream.blame(exc, thrown, item), has_delivered=item is not _NO_ITEM)
            raise
        else:
            stream.ended(None, has_delivered=item is not _NO_ITEM)
        finally:
            step = thrown = None  # an exception refers to this frame, and must not refer to itself by it

    return protected
