"""One breaker per key: the breakers' names, and the decorator."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from recloser._breaker.functions import carry_detailed, misfit, name_after
from recloser._breaker.streams import protect_generator
from recloser._core.slots import check_synchronous, is_kind, refusal
from recloser.errors import MisuseError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from recloser._breaker.breaker import CircuitBreaker

LONGEST_KEY = 100
EXCERPT = 60
DIGEST_BYTES = 16
ANY_KEY = "[...]"
"""After the name of a group, this stands for all of its breakers."""
_DIGEST_DIGITS = 2 * DIGEST_BYTES


def label(key: str) -> str:
    """Return a key as a part of a name: printable, at most 100 characters, and different for different keys.

    A key that is too long or not printable becomes an excerpt, `~` and a digest of the whole key. So does a key that
    ends like such a label; otherwise a caller could choose a key that gets the breaker of another key.
    """
    if len(key) <= LONGEST_KEY and key.isprintable() and not _looks_digested(key):
        return key
    from hashlib import blake2b  # noqa: PLC0415 - few keys need it

    digest = blake2b(key.encode("utf-8", "surrogatepass"), digest_size=DIGEST_BYTES).hexdigest()
    excerpt = "".join(character if character.isprintable() else "?" for character in key[:EXCERPT])
    return f"{excerpt}~{digest}"


def _looks_digested(key: str) -> bool:
    return key[-_DIGEST_DIGITS - 1 : -_DIGEST_DIGITS] == "~"


def group_of(name: str) -> str | None:
    """Return the group in the name of a breaker; None if there is none."""
    group, bracket, _ = name.partition("[")
    return group if bracket and name.endswith("]") else None


def check_group(name: object) -> None:
    """Refuse a name of a group that contains brackets, which enclose the key in a breaker's name."""
    if not isinstance(name, str):
        raise TypeError(f"name must be a string, not {name!r}")
    if "[" in name or "]" in name:
        raise ValueError(f"name must be without brackets, because they enclose the key, not {name!r}")


class KeyedBreakers:
    """The breakers of one group, one per key.

    Args:
        group: The name of the group.
        key: Returns the key for the arguments of a call.
        obtain: Returns the breaker with a name.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: The name of the group contains a bracket.
    """

    __slots__ = ("_group", "_key", "_obtain")

    def __init__(self, group: str, key: Callable[..., str], obtain: Callable[[str], CircuitBreaker]) -> None:
        check_group(group)
        check_synchronous("key", key, "function of the call's arguments")
        if not callable(key):
            raise TypeError(f"key must be a synchronous function of the call's arguments, not {key!r}")
        self._group = group
        self._key = key
        self._obtain = obtain

    def decorate(self, fn: Any) -> Any:  # noqa: ANN401 - typed where it is called
        """Return a wrapper that protects each call of a function by the breaker of its key.

        Raises:
            TypeError: The function is neither a coroutine function nor an async generator function.
        """
        if is_kind(inspect.isasyncgenfunction, fn):
            wrapper: Any = protect_generator(lambda args, kwargs: self._choose(args, kwargs).engine, fn)
        elif is_kind(inspect.iscoroutinefunction, fn):
            wrapper = self._protect_coroutine(fn)
        else:
            raise misfit(fn)
        name_after(wrapper, fn)
        carry_detailed(wrapper, fn, self._call)
        return wrapper

    def _protect_coroutine(self, fn: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def protected(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the signature is the function's
            return await self._call(fn, *args, **kwargs)

        return protected

    def _call(self, fn: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any) -> Awaitable[Any]:  # noqa: ANN401 - as above
        return self._choose(args, kwargs).call(fn, *args, **kwargs)

    def _choose(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> CircuitBreaker:
        try:
            key = self._key(*args, **kwargs)
        except BaseException as exc:
            _note(exc, f"raised by the key function of per_key({self._group!r}); the call was not started")
            raise
        if not isinstance(key, str):
            hint = refusal("the key function", key) or "convert it, so that different keys remain different"
            raise MisuseError(f"the key of per_key({self._group!r}) must be a string, not {key!r}: {hint}")
        return self._obtain(f"{self._group}[{label(key)}]")


def _note(exc: BaseException, note: str) -> None:
    """Add a note once: a key function may raise the same exception object in each call."""
    if note not in getattr(exc, "__notes__", ()):
        exc.add_note(note)
