"""The links of a fallback chain."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from recloser._breaker.breaker import CircuitBreaker
from recloser._core.slots import is_kind
from recloser._fallback.answers import Found, FunctionLink, Link, chain_of, name_of
from recloser._fallback.memory import LastKnownGood

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from recloser._fallback.memory import Memo, Memory

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True)  # without slots, which a generic dataclass can't be made with by Constant[int](1)
class Constant(Generic[T_co]):
    """A link that always has the same answer, whatever the arguments; only the last link can be one.

    Callers get the value by reference and as it is: it is neither called nor awaited.

    Args:
        value: The answer.

    Raises:
        TypeError: The value is a coroutine, which could be awaited only once.
    """

    value: T_co

    def __post_init__(self) -> None:
        """Refuse a coroutine, which can be awaited only once."""
        if inspect.iscoroutine(self.value):
            self.value.close()
            raise TypeError(f"value must be the answer itself, not {self.value!r}; a function is a link as it is")


class ConstantLink:
    """A `Constant`."""

    __slots__ = ("found", "name")

    is_chain = False

    def __init__(self, name: str, value: object) -> None:
        self.name = name
        self.found = Found(value, name, is_fresh=False)

    async def ask(self, _: tuple[Any, ...], __: dict[str, Any], ___: Mapping[Any, Memo], /) -> Found:
        """Return the constant."""
        return self.found


class MemoryLink:
    """A `LastKnownGood` at one position of one chain; no other link sees the answers that are stored for it."""

    __slots__ = ("memory", "name", "position", "space")

    is_chain = False

    def __init__(self, name: str, memory: Memory, position: int) -> None:
        self.name = name
        self.memory = memory
        self.position = position
        self.space = object()

    def memo(self, subject: Hashable, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Memo:
        """Return the memo of a call; `subject` distinguishes the primaries of one policy."""
        return self.memory.memo((self.space, subject), args, kwargs)

    async def ask(self, _: tuple[Any, ...], __: dict[str, Any], memos: Mapping[Any, Memo], /) -> Found:
        """Return the stored answer.

        Raises:
            NoAnswer: There is none.
        """
        value, age_seconds = self.memory.recall(memos[self])
        return Found(value, self.name, is_fresh=False, age_seconds=age_seconds)


def links_of(given: tuple[object, ...]) -> tuple[Link, ...]:
    """Return the links for what a `Fallback` was given; they stand behind the primary.

    Raises:
        TypeError: An argument is not a link; the message says what to pass instead.
        ValueError: There is none, or one that could never be asked.
    """
    if not given:
        raise ValueError("Fallback() needs at least one link to fall back to, for example Fallback(Constant(None))")
    links = tuple(_link(position, link) for position, link in enumerate(given, 1))
    if any(isinstance(link, ConstantLink) for link in links[:-1]):
        raise ValueError("a Constant always has an answer, so links behind it are never asked: put it last")
    return links


def _link(position: int, given: object) -> Link:
    if isinstance(given, Constant):
        return ConstantLink("constant", given.value)
    if isinstance(given, LastKnownGood):
        return MemoryLink(given.name, given.memory, position)
    if isinstance(given, CircuitBreaker):
        raise TypeError(f"{given!r} is no link: pass the function that it protects, breaker(fn)")
    if isinstance(getattr(given, "kind", None), str) and callable(getattr(given, "call", None)):
        raise TypeError(f"{given!r} is a policy and no link: pass the function that it protects, policy(fn)")
    if inspect.iscoroutine(given):
        given.close()
        raise TypeError(f"a link is the function itself, not {given!r}: leave out its arguments, they are passed on")
    if not callable(given):
        raise TypeError(
            f"a link is a function, a LastKnownGood or a Constant, not {given!r}; "
            f"Constant({given!r}) always has that answer"
        )
    if is_kind(inspect.isasyncgenfunction, given):
        raise TypeError(f"{given!r} is an async generator function; a link returns one answer")
    return chain_of(given) or FunctionLink(name_of(given), given)
