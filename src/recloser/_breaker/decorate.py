"""The decorator's two forms: coroutine functions and async generator functions."""

from __future__ import annotations

import functools
import inspect
from time import time as wall_clock
from typing import TYPE_CHECKING, Any

from recloser._breaker.cancellation import is_cancellation
from recloser._breaker.engine import raised
from recloser._breaker.fleet_port import PETITION
from recloser._breaker.permits import AcquiredPermit
from recloser._breaker.probe_context import probe_step
from recloser._core.machine import FAILURE, Probe

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from recloser._breaker.fleet_port import Member


def protect(breaker: Member, fn: Any) -> Any:  # noqa: ANN401 - typed where it is called
    """Return the function under the breaker's protection.

    Raises:
        TypeError: It is neither a coroutine function nor an async generator function.
    """
    if is_kind(inspect.isasyncgenfunction, fn):
        wrapper: Any = protect_generator(lambda _args, _kwargs: breaker, fn)
    elif is_kind(inspect.iscoroutinefunction, fn):
        wrapper = _protect_coroutine(breaker, fn)
    else:
        raise misfit(fn)
    name_after(wrapper, fn)
    wrapper.breaker = breaker
    return wrapper


def name_after(wrapper: Any, fn: Any) -> None:  # noqa: ANN401 - any function
    """Name a wrapper: after its function, for a partial the one inside, for another callable object after its class."""
    named = fn
    while isinstance(named, functools.partial):
        named = named.func
    if hasattr(named, "__name__"):
        functools.update_wrapper(wrapper, named)
    else:
        functools.update_wrapper(
            wrapper, type(named), ("__module__", "__name__", "__qualname__", "__doc__"), updated=()
        )
    wrapper.__wrapped__ = fn


def misfit(fn: object) -> TypeError:
    """Return the error of a function that can't be decorated."""
    return TypeError(
        f"a circuit breaker decorates coroutine functions and async generator functions, not {fn!r}; "
        "await breaker.call(fn, ...) takes any function that returns an awaitable or a plain value, "
        "breaker.call_in_thread(fn, ...) a blocking one"
    )


def is_kind(kind: Callable[[Any], bool], fn: Any) -> bool:  # noqa: ANN401 - asked of anything
    """Return whether a function, or an object that is called like one, is of a kind that `inspect` tells."""
    return kind(fn) or (callable(fn) and not inspect.isclass(fn) and kind(type(fn).__call__))


def _protect_coroutine(breaker: Member, fn: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def protected(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the signature is the function's
        epoch = breaker._live
        started = None
        if epoch is None:
            epoch = breaker._enter()
            if epoch is PETITION:
                epoch = await breaker._enter_granted()
            started = breaker._begin(epoch)
        try:
            result = await (fn(*args, **kwargs) if kwargs else fn(*args))  # a tenth less without them
        except:
            if (
                breaker._live is epoch
                and epoch.successes == (run := epoch.run).seen
                and epoch.failures + 1 < run.trip_at
                and breaker._verdicts.get(type(raised())) is FAILURE
            ):
                epoch.failures += 1
                breaker._failed_at = wall_clock()
            else:
                breaker._raised(epoch, raised(), started)
            raise
        if breaker._live is epoch:
            epoch.successes += 1
            if epoch.watch:
                breaker._observe(epoch)
        else:
            breaker._returned(epoch, result, started)
        return result

    return protected


def protect_generator(
    choose: Callable[[tuple[Any, ...], dict[str, Any]], Member], fn: Callable[..., AsyncGenerator[Any, Any]]
) -> Callable[..., AsyncGenerator[Any, Any]]:
    """Return an async generator function, protected by the breaker that is chosen by each call's arguments."""

    async def protected(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:  # noqa: ANN401 - the signature is the function's
        breaker = choose(args, kwargs)
        ticket = breaker._enter()
        if ticket is PETITION:
            ticket = await breaker._enter_granted()
        began = breaker._start(ticket)
        permit = AcquiredPermit(breaker, ticket, began)
        probe = ticket if isinstance(ticket, Probe) else None
        delivered = False
        try:
            source = fn(*args, **kwargs)
            step = source.asend(None)
            while True:
                try:
                    with probe_step(probe):
                        item = await step
                except StopAsyncIteration:
                    break
                delivered = True
                permit.progress()
                paused = None
                try:
                    try:
                        paused = permit.pause()
                        sent = yield item
                    finally:
                        began = permit.resume(paused)
                except GeneratorExit:
                    with probe_step(probe):
                        await source.aclose()
                    raise
                except BaseException as exc:  # noqa: BLE001 - forwarded to the function's own generator
                    step = source.athrow(exc)
                else:
                    step = source.asend(sent)
        except BaseException as exc:
            left = isinstance(exc, GeneratorExit) or (is_cancellation(exc) and not breaker._is_overdue(ticket, began))
            if delivered and left:
                permit.succeed()
            else:
                permit.__exit__(type(exc), exc, None)
            raise
        permit.succeed()

    return protected
