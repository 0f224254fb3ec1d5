"""Uses of a breaker that cannot work, and what to write instead."""

from __future__ import annotations

import inspect
import itertools
from random import Random, SystemRandom
from typing import Never, NoReturn, Protocol

from recloser.errors import MisuseError

SYSTEM_RANDOM = SystemRandom()
"""The default source of jitter."""

_numbers = itertools.count(1)


class NotAsyncFunction(Protocol):
    """What no function is: type checkers name its attribute where a `def` function is decorated."""

    await_breaker_call_or_call_in_thread_instead: Never


class Unblockable:
    """Refuses `with` and `async with`: each block needs its own guard, which holds that block's permit."""

    __slots__ = ()

    def __enter__(self) -> NoReturn:
        """Refuse."""
        self._refuse_block()

    def __exit__(self, *exc_info: object) -> None:
        """Never called, but `with` requires it."""

    async def __aenter__(self) -> NoReturn:
        """Refuse."""
        self._refuse_block()

    async def __aexit__(self, *exc_info: object) -> None:
        """Never called, but `async with` requires it."""

    def _refuse_block(self) -> NoReturn:
        raise MisuseError(f"a block is protected by `async with breaker.guard()`, not by {self!r} itself")


def checked_random(random: object) -> Random:
    """Return the source of jitter that a user has chosen; for None, that of the operating system.

    Raises:
        TypeError: It is no source of random numbers.
    """
    if random is None:
        return SYSTEM_RANDOM
    if not isinstance(random, Random):
        raise TypeError(f"random must be a random.Random, not {random!r}")
    return random


def checked_name(name: object) -> str:
    """Return a breaker's name; for None, one that is unique in the process.

    Raises:
        TypeError: It is no string; the message says what was probably meant.
    """
    if name is None:
        return f"breaker-{next(_numbers)}"
    if isinstance(name, str):
        return name
    hint = ""
    if isinstance(name, int | float) and not isinstance(name, bool):
        hint = f"; for a threshold, write CircuitBreaker(failure_threshold={name!r})"
    elif inspect.isroutine(name):
        hint = "; to decorate a function, create a breaker first: `breaker = CircuitBreaker(...)`, then `@breaker`"
    raise TypeError(f"name must be a string, not {name!r}{hint}")
