"""Decorates coroutine functions and async generator functions."""

from __future__ import annotations

import inspect
from time import time as wall_clock
from types import NoneType
from typing import TYPE_CHECKING, Any, cast

from recloser._breaker.classify import raised
from recloser._breaker.functions import carry_detailed, misfit, name_after
from recloser._breaker.lease import admit_by_lease
from recloser._breaker.results import predicate_raised, settle_by_predicate, settle_result
from recloser._breaker.sampling import sample_duration
from recloser._breaker.streams import protect_generator
from recloser._breaker.unfinished import finished_type, protect_unfinished
from recloser._core.outcomes import Outcome
from recloser._core.slots import is_kind
from recloser._core.tickets import NEEDS_LEASE
from recloser._core.windows import ALWAYS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from recloser._breaker.engine import Engine

SUCCESS, FAILURE = Outcome.SUCCESS, Outcome.FAILURE


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


# In one piece: each function that a closed call enters costs it a third of a hand-written breaker.
def _protect_coroutine(engine: Engine, fn: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:  # noqa: C901 - see below
    read_clock, returned = engine.now, cast("type | None", NoneType)

    async def protected(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401, C901, PLR0911, PLR0912 - the signature is the function's
        nonlocal returned
        epoch, started = engine.live, None
        if epoch is None:
            if (watch := engine.watch) is not None:
                epoch, started = watch.epoch, read_clock()
            else:
                epoch = await admit_by_lease(engine) if (epoch := engine.admit()) is NEEDS_LEASE else epoch
                started = engine.begin(epoch)
        seen = epoch.failures
        try:
            result = await (fn(*args, **kwargs) if kwargs else fn(*args))  # a tenth less without them
            if type(result) is not returned and (returned := finished_type(result)) is None:
                return await protect_unfinished(engine, epoch, fn, result, started)
        except:
            counts = engine.counting is epoch and engine.outcome_by_type.get(type(raised())) is FAILURE
            in_run = counts and epoch.successes == epoch.run_after and epoch.failures == seen
            if in_run and seen < epoch.run_from + epoch.run_limit - 1:
                epoch.failures, engine.failed_at = seen + 1, wall_clock()
            else:
                engine.call_raised(epoch, raised(), started, seen)
            raise
        if started is not None or engine.counting is not epoch:
            if (watch := engine.watch) is None or watch.epoch is not epoch:
                return settle_result(engine, epoch, result, started)
            if watch.failed_result is not None:
                try:
                    passed = not (judgement := watch.failed_result(result))
                except BaseException as fault:  # noqa: BLE001 - handled there
                    return predicate_raised(engine, epoch, result, fault, started)
                if not passed or (started is not None and not watch.times_starts) or engine.watch is not watch:
                    return settle_by_predicate(engine, epoch, result, judgement, started, passed=passed)
            if watch.times_ends:
                if started is None or (seconds := (now := read_clock()) - started) > watch.limit or now >= epoch.edge:
                    return settle_by_predicate(engine, epoch, result, None, started, passed=True)
                epoch.successes = count = epoch.successes + 1
                if count >= epoch.sample_at:
                    sample_duration(engine, epoch, seconds)
                if watch.report is not None:
                    watch.report(now, seconds if seconds > 0 else 0.0)
                return result
        epoch.successes = count = epoch.successes + 1
        if count >= epoch.look_at and (count >= epoch.sample_at or epoch.edge == ALWAYS or read_clock() >= epoch.edge):
            engine.observe(epoch, started)
        return result

    return protected
