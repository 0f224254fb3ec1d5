"""Synchronous slots: arguments that take a function whose result recloser uses without awaiting it.

Predicates, listeners, key functions and clocks are such slots. They are checked twice. An asynchronous function is
refused when it is given. A synchronous function may still return a coroutine, as `lambda result: is_bad(result)` does
if `is_bad` is asynchronous: it is always true, and nothing ever runs it. So a slot is also checked by what it returned:
the coroutine is closed, and what raises in its place is handled as any error of the user's function.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")

SCALARS = (int, float, str)
"""Types of what slots usually return; it is never awaited."""


class AsynchronousSlotError(TypeError):
    """A function in a synchronous slot returned something that would have to be awaited."""


def is_kind(kind: Callable[[Any], bool], fn: Any) -> bool:  # noqa: ANN401 - asked of anything
    """Return whether an `inspect` predicate holds for what runs when an object is called.

    That is the function inside partials, bound methods and objects with `__call__`, in any order.
    """
    while not kind(fn):
        if isinstance(fn, functools.partial):
            fn = fn.func
        elif inspect.ismethod(fn):
            fn = fn.__func__
        elif inspect.isroutine(fn) or inspect.isclass(fn) or not callable(fn):
            return False
        else:
            fn = type(fn).__call__
    return True


def is_asynchronous(fn: object) -> bool:
    """Return whether calling an object makes a coroutine or an async generator, as far as its kind tells."""
    return is_kind(inspect.iscoroutinefunction, fn) or is_kind(inspect.isasyncgenfunction, fn)


def check_synchronous(argument: str, fn: object, role: str) -> None:
    """Refuse an asynchronous function for an argument; `role` says what the function is there.

    Raises:
        TypeError: The function is asynchronous.
    """
    if is_asynchronous(fn):
        raise TypeError(f"{argument} must be a synchronous {role}, {fn!r} is asynchronous")


def refusal(slot: str, returned: object) -> AsynchronousSlotError | None:
    """Return an error if what a slot returned would have to be awaited, and close that if it is a coroutine.

    Args:
        slot: The argument that the function was given for.
        returned: What the function returned.
    """
    if returned is None or isinstance(returned, SCALARS):
        return None
    if not (inspect.isawaitable(returned) or isinstance(returned, AsyncGenerator)):
        return None
    what = f"an object of type {type(returned).__name__}"
    if isinstance(returned, Coroutine):
        what = "a coroutine"
        with suppress(Exception):  # if it has begun, its own code runs
            returned.close()
    return AsynchronousSlotError(f"{slot} must be synchronous, but returned {what}, which is not awaited")


def checked(slot: str, returned: T) -> T:
    """Return what a slot returned.

    Raises:
        AsynchronousSlotError: It would have to be awaited.
    """
    error = refusal(slot, returned)
    if error is not None:
        raise error
    return returned


def check_unused(slot: str, returned: object) -> None:
    """Check what a slot returned whose result is not used; a task or a future is fine, because it runs by itself.

    Raises:
        AsynchronousSlotError: It is a coroutine or an async generator, which nothing runs.
    """
    if isinstance(returned, Coroutine | AsyncGenerator):
        raise AsynchronousSlotError(str(refusal(slot, returned)))
