"""Decorates coroutine functions and async generator functions."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from contextlib import nullcontext
from time import time as wall_clock
from typing import TYPE_CHECKING, Any

from recloser._breaker.cancellation import is_cancellation
from recloser._breaker.classify import is_overdue, raised
from recloser._breaker.functions import carry_detailed, is_kind, misfit, name_after
from recloser._breaker.lease import admit_by_lease
from recloser._breaker.permits import acquire_permit
from recloser._breaker.probe_context import probe_step
from recloser._core.outcomes import Outcome
from recloser._core.tickets import NEEDS_LEASE, Probe
from recloser._core.windows import ALWAYS

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from contextlib import AbstractContextManager

    from recloser._breaker.engine import Engine
    from recloser._breaker.permits import AcquiredPermit

SUCCESS, FAILURE = Outcome.SUCCESS, Outcome.FAILURE
_NO_CONTEXT = nullcontext()


def protect(engine: Engine, call: Callable[..., Awaitable[Any]], fn: Any) -> Any:  # noqa: ANN401 - typed where it is called
    """Return a wrapper that protects each call of a function.

    Args:
        engine: The breaker's engine.
        call: The breaker's `call`, for what else the function can do.
        fn: The function.

    Raises:
        TypeError: The function is neither a coroutine function nor an async generator function.
    """
    if is_kind(inspect.isasyncgenfunction, fn):
        wrapper: Any = protect_generator(lambda _args, _kwargs: engine, fn)
    elif is_kind(inspect.iscoroutinefunction, fn):
        wrapper = _protect_coroutine(engine, fn)
    else:
        raise misfit(fn)
    name_after(wrapper, fn)
    carry_detailed(wrapper, fn, call)
    return wrapper


def _protect_coroutine(engine: Engine, fn: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:  # noqa: C901 - see below
    read_clock = engine.now

    # In one piece: each function that a closed call enters costs it a third of a hand-written breaker.
    async def protected(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401, C901, PLR0912 - the signature is the function's
        epoch, started = engine.live, None
        if epoch is None:
            if (watch := engine.watch) is not None:
                epoch, started = watch.epoch, read_clock()
            else:
                epoch = engine.admit()
                if epoch is NEEDS_LEASE:
                    epoch = await admit_by_lease(engine)
                started = engine.begin(epoch)
        try:
            result = await (fn(*args, **kwargs) if kwargs else fn(*args))  # a tenth less without them
        except:
            if engine.counting is not epoch or engine.outcome_by_type.get(type(raised())) is not FAILURE:
                engine.call_raised(epoch, raised(), started)
            elif epoch.successes == epoch.run_after and epoch.failures + 1 < epoch.run_from + epoch.run_threshold:
                epoch.failures += 1
                engine.failed_at = wall_clock()
            else:
                engine.count_failure(epoch, raised())
            raise
        if engine.counting is not epoch:
            if (watch := engine.watch) is None or watch.epoch is not epoch:
                return engine.call_returned(epoch, result, started)
            if watch.failed_result is not None:
                try:
                    passed = not watch.failed_result(result)
                except BaseException as fault:  # noqa: BLE001 - handled there
                    return engine.predicate_raised(epoch, result, fault, started)
                if not passed:
                    engine.settle(epoch, FAILURE, started)
                    return result
            if watch.times_ends:
                if started is None or (seconds := (now := read_clock()) - started) > watch.limit or now >= epoch.edge:
                    engine.settle(epoch, SUCCESS, started)
                    return result
                epoch.successes += 1
                if watch.report is not None:
                    watch.report(now, seconds if seconds > 0 else 0.0)
                return result
        epoch.successes += 1
        if epoch.observed and (epoch.edge == ALWAYS or read_clock() >= epoch.edge):
            engine.observe(epoch)
        return result

    return protected


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
