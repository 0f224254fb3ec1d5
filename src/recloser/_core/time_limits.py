"""Which exceptions say that a time limit has run out.

Each client has a type of its own for that, and few of them derive from `TimeoutError`. So the name of the type decides.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Callable

CAUSES_FOLLOWED = 8
"""How far the causes of an exception are followed."""


def _is_named_so(error_type: type[BaseException]) -> bool:
    return issubclass(error_type, TimeoutError) or any(
        "timeout" in base.__name__.lower() for base in error_type.__mro__
    )


_is_timeout = cast("Callable[[type[BaseException]], bool]", lru_cache(maxsize=256)(_is_named_so))


def is_about_time(exc: BaseException) -> bool:
    """Return whether an exception, a member of it, or what one was raised from says that a time limit has run out."""
    if _is_timeout(type(exc)):
        return True
    if exc.__cause__ is None and not isinstance(exc, BaseExceptionGroup):
        return False
    pending, followed = [exc], 0
    while pending and followed < CAUSES_FOLLOWED:
        each = pending.pop()
        if _is_timeout(type(each)):
            return True
        if isinstance(each, BaseExceptionGroup):
            pending.extend(each.exceptions)
        elif each.__cause__ is not None:
            followed += 1
            pending.append(each.__cause__)
    return False
