"""One breaker per key: the names of their breakers, and the decorator."""

from __future__ import annotations

import inspect
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from recloser._breaker.decorate import protect_generator
from recloser._breaker.functions import is_kind, misfit, name_after
from recloser.errors import MisuseError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from recloser._breaker.breaker import CircuitBreaker

LONGEST_KEY = 100
EXCERPT = 60
DIGEST_BYTES = 16
ANY_KEY = "[...]"
"""Behind a group's name, stands for all of its breakers."""
_DIGEST_DIGITS = 2 * DIGEST_BYTES


def label(key: str) -> str:
    """Return a key as it stands in a name: printable, at most 100 characters, and different for different keys.

    A key that is too long, or holds what cannot be printed, becomes an excerpt, `~`, and a digest of the whole. So does
    one that ends as if it had been through this already: nobody can make up a key that gets another one's breaker.
    """
    if len(key) <= LONGEST_KEY and key.isprintable() and not _looks_digested(key):
        return key
    digest = blake2b(key.encode("utf-8", "surrogatepass"), digest_size=DIGEST_BYTES).hexdigest()
    excerpt = "".join(character if character.isprintable() else "?" for character in key[:EXCERPT])
    return f"{excerpt}~{digest}"


def _looks_digested(key: str) -> bool:
    return key[-_DIGEST_DIGITS - 1 : -_DIGEST_DIGITS] == "~"


def group_of(name: str) -> str | None:
    """Return the group that a breaker's name says it is of, None if of none."""
    group, bracket, _ = name.partition("[")
    return group if bracket and name.endswith("]") else None


def check_group(name: object) -> None:
    """Refuse a name of a group from which the key could not be told apart."""
    if not isinstance(name, str):
        raise TypeError(f"name must be a string, not {name!r}")
    if "[" in name or "]" in name:
        raise ValueError(f"name must be without brackets, which stand around the key, not {name!r}")


class KeyedBreakers:
    """The breakers of one group, one per key.

    Args:
        group: Name of the group.
        key: Makes the key of a call's arguments.
        obtain: Returns the breaker of a name.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: The group's name holds a bracket.
    """

    __slots__ = ("_group", "_key", "_obtain")

    def __init__(self, group: str, key: Callable[..., str], obtain: Callable[[str], CircuitBreaker]) -> None:
        check_group(group)
        if not callable(key) or is_kind(inspect.iscoroutinefunction, key):
            raise TypeError(f"key must be a synchronous function of the call's arguments, not {key!r}")
        self._group = group
        self._key = key
        self._obtain = obtain

    def decorate(self, fn: Any) -> Any:  # noqa: ANN401 - typed where it is called
        """Return the function, each call under the protection of its key's breaker.

        Raises:
            TypeError: It is neither a coroutine function nor an async generator function.
        """
        if is_kind(inspect.isasyncgenfunction, fn):
            wrapper: Any = protect_generator(lambda args, kwargs: self._choose(args, kwargs).engine, fn)
        elif is_kind(inspect.iscoroutinefunction, fn):
            wrapper = self._protect_coroutine(fn)
        else:
            raise misfit(fn)
        name_after(wrapper, fn)
        return wrapper

    def _protect_coroutine(self, fn: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def protected(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the signature is the function's
            return await self._choose(args, kwargs).call(fn, *args, **kwargs)

        return protected

    def _choose(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> CircuitBreaker:
        try:
            key = self._key(*args, **kwargs)
        except BaseException as exc:
            _note(exc, f"raised by the key function of per_key({self._group!r}); the call was not started")
            raise
        if not isinstance(key, str):
            raise MisuseError(
                f"the key of per_key({self._group!r}) must be a string, not {key!r}: "
                "make one of it that is different for different keys"
            )
        return self._obtain(f"{self._group}[{label(key)}]")


def _note(exc: BaseException, note: str) -> None:
    """Add a note, once: a key function may raise the same object at each call."""
    if note not in getattr(exc, "__notes__", ()):
        exc.add_note(note)
