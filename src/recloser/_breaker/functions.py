"""What a wrapper is named, and which functions can't be decorated."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


def name_after(wrapper: Any, fn: Any) -> None:  # noqa: ANN401 - any function
    """Name a wrapper after its function: after the inner one of a partial, and after the class of a callable object."""
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


def carry_detailed(wrapper: object, fn: object, call: Callable[..., Awaitable[Any]]) -> None:
    """Give a wrapper the `.detailed()` of the function inside, under the same protection, if the function has one.

    Args:
        wrapper: The wrapper, named after the function.
        fn: The function inside.
        call: Calls a function under the protection of the wrapper.
    """
    detailed: Any = getattr(wrapper, "detailed", None)
    if hasattr(type(detailed), "carry"):  # asked of the type, because a mock has every attribute
        detailed.carry(wrapper, fn, call)


def misfit(fn: object) -> TypeError:
    """Return the error for a function that can't be decorated."""
    start = f"a circuit breaker decorates coroutine functions and async generator functions, not {fn!r}"
    if isinstance(fn, classmethod | staticmethod):
        return TypeError(f"{start}; put it below @{type(fn).__name__}")
    return TypeError(
        f"{start}; @breaker.sync decorates functions that are not awaited. `await breaker.call(fn, ...)` takes any "
        "function that returns an awaitable or a plain value, `breaker.call_in_thread(fn, ...)` a blocking one"
    )
