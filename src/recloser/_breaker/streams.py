"""Forwards async generators, and protects their iterations: one permit from the first step to the end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from recloser._breaker.cancellation import is_cancellation
from recloser._breaker.classify import is_overdue
from recloser._breaker.permits import acquire_permit
from recloser._breaker.probe_context import probe_step
from recloser._core.tickets import Probe

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from contextlib import AbstractContextManager

    from recloser._breaker.engine import Engine
    from recloser._breaker.permits import AcquiredPermit

_NO_CONTEXT = nullcontext()


def protect_generator(
    choose: Callable[[tuple[Any, ...], dict[str, Any]], Engine], fn: Callable[..., AsyncGenerator[Any, Any]]
) -> Callable[..., AsyncGenerator[Any, Any]]:
    """Return a protected async generator function; `choose` picks the breaker by the arguments of each call."""

    async def admit(args: tuple[Any, ...], kwargs: dict[str, Any]) -> ProtectedStream:
        return ProtectedStream(await acquire_permit(choose(args, kwargs)))

    return pump(admit, fn)


class Stream(ABC):
    """What a policy or a breaker does about one iteration of an async generator."""

    __slots__ = ()

    def step(self) -> AbstractContextManager[object]:
        """Return the context in which the generator runs to its next item."""
        return _NO_CONTEXT

    def delivered(self) -> None:  # noqa: B027 - a policy need not know
        """Note that the generator has yielded an item."""

    def pause(self) -> None:  # noqa: B027 - as above
        """Note that the generator waits for its reader."""

    def resume(self) -> None:  # noqa: B027 - as above
        """Note that the reader asks for the next item or leaves."""

    @abstractmethod
    def ended(self, exc: BaseException | None) -> None:
        """Note the end of the iteration: with the exception that ended it, or None after the last item."""


class ProtectedStream(Stream):
    """One protected iteration, which holds a permit until it ends."""

    __slots__ = ("_began", "_has_delivered", "_paused_at", "_permit", "_probe")

    def __init__(self, permit: AcquiredPermit) -> None:
        self._permit = permit
        self._probe = permit.ticket if isinstance(permit.ticket, Probe) else None
        self._began = permit.started
        self._paused_at: float | None = None
        self._has_delivered = False

    def step(self) -> AbstractContextManager[object]:
        """Return the context in which the generator runs to its next item: part of the probe, if the call is one."""
        return super().step() if self._probe is None else probe_step(self._probe)

    def delivered(self) -> None:
        """Note that the generator has yielded an item."""
        self._has_delivered = True
        self._permit.progress()

    def pause(self) -> None:
        """Pause the measurement of the call's duration."""
        self._paused_at = self._permit.pause()

    def resume(self) -> None:
        """Resume the measurement of the call's duration."""
        paused_at, self._paused_at = self._paused_at, None
        self._began = self._permit.resume(paused_at)

    def ended(self, exc: BaseException | None) -> None:
        """Settle the permit: if the reader leaves after an item, the dependency has answered."""
        permit = self._permit
        if exc is None or (self._has_delivered and self._is_leaving(exc)):
            permit.succeed()
        else:
            permit.__exit__(type(exc), exc, None)

    def _is_leaving(self, exc: BaseException) -> bool:
        if isinstance(exc, GeneratorExit):
            return True
        permit = self._permit
        engine = permit.engine
        return is_cancellation(exc) and not is_overdue(engine.machine, permit.ticket, self._began, engine.now)


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
        try:
            source = fn(*args, **kwargs)
            step = source.asend(None)
            while True:
                try:
                    with stream.step():
                        item = await step
                except StopAsyncIteration:
                    break
                stream.delivered()
                try:
                    try:
                        stream.pause()
                        sent = yield item
                    finally:
                        stream.resume()
                except GeneratorExit:
                    with stream.step():
                        await source.aclose()
                    raise
                except BaseException as exc:  # noqa: BLE001 - forwarded to the function's own generator
                    step = source.athrow(exc)
                else:
                    step = source.asend(sent)
        except BaseException as exc:
            stream.ended(exc)
            raise
        stream.ended(None)

    return protected
