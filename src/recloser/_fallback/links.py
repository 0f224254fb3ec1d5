"""The links of a fallback chain, and the answers that they return."""

from __future__ import annotations

import functools
import inspect
from dataclasses import dataclass
from types import AsyncGeneratorType, CoroutineType
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, NoReturn, Protocol, TypeVar

from recloser._breaker.breaker import CircuitBreaker
from recloser._breaker.functions import is_kind
from recloser._fallback.memory import LastKnownGood
from recloser.errors import MisuseError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from recloser._fallback.memory import Memo, Memory

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True)  # without slots, which a generic dataclass can't be made with by Constant[int](1)
class Constant(Generic[T_co]):
    """A link that always has the same answer, whatever the arguments; only the last link of a chain can be one.

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


class Found(NamedTuple):
    """An answer on its way through the chain to the caller.

    Attributes:
        value: The answer itself.
        source: The name of the link that gave it.
        is_fresh: Whether a dependency gave it in this call, so that it is worth remembering.
        age_seconds: The age of a remembered answer; None for other answers.
        errors: The errors of earlier links, each with its source.
    """

    value: Any
    source: str
    is_fresh: bool = True
    age_seconds: float | None = None
    errors: tuple[tuple[str, Exception], ...] = ()


class Link(Protocol):
    """Something that a chain can ask for an answer."""

    @property
    def name(self) -> str:
        """The name of the source."""
        ...

    async def ask(self, args: tuple[Any, ...], kwargs: dict[str, Any], memos: Mapping[MemoryLink, Memo], /) -> Found:
        """Return the link's answer, or raise what the link raises."""
        ...


class FunctionLink:
    """A user's function: async, plain, or any other callable."""

    __slots__ = ("fn", "name")

    def __init__(self, name: str, fn: Callable[..., Any]) -> None:
        self.name = name
        self.fn = fn

    async def ask(self, args: tuple[Any, ...], kwargs: dict[str, Any], _: Mapping[MemoryLink, Memo], /) -> Found:
        """Call the function."""
        value = self.fn(*args, **kwargs)
        if type(value) is CoroutineType or inspect.isawaitable(value):
            value = await value
        elif type(value) is AsyncGeneratorType:
            refuse_generator(self.name)
        return Found(value, self.name)


class ConstantLink:
    """A `Constant`."""

    __slots__ = ("found", "name")

    def __init__(self, name: str, value: object) -> None:
        self.name = name
        self.found = Found(value, name, is_fresh=False)

    async def ask(self, _: tuple[Any, ...], __: dict[str, Any], ___: Mapping[MemoryLink, Memo], /) -> Found:
        """Return the constant."""
        return self.found


class MemoryLink:
    """A `LastKnownGood` at one position of one chain; no other link sees the answers that are stored for it."""

    __slots__ = ("memory", "name", "position", "space")

    def __init__(self, name: str, memory: Memory, position: int) -> None:
        self.name = name
        self.memory = memory
        self.position = position
        self.space = object()

    def memo(self, subject: Hashable, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Memo:
        """Return the memo of a call; `subject` distinguishes the primaries of one policy."""
        return self.memory.memo((self.space, subject), args, kwargs)

    async def ask(self, _: tuple[Any, ...], __: dict[str, Any], memos: Mapping[MemoryLink, Memo], /) -> Found:
        """Return the stored answer.

        Raises:
            NoAnswer: There is none.
        """
        value, age_seconds = self.memory.recall(memos[self])
        return Found(value, self.name, is_fresh=False, age_seconds=age_seconds)


def link_at(position: int, given: object) -> Link:
    """Return the link for an argument.

    Raises:
        TypeError: The argument is not a link; the message says what to pass instead.
        ValueError: A memory is the first link, so there are no answers that it could remember.
    """
    if isinstance(given, Constant):
        return ConstantLink("constant", given.value)
    if isinstance(given, LastKnownGood):
        if position == 0:
            raise ValueError("LastKnownGood remembers the answers of the links before it; it can't be the first link")
        return MemoryLink(given.name, given.memory, position)
    if isinstance(given, CircuitBreaker):
        raise TypeError(f"{given!r} is no link: pass the function that it protects, breaker(fn)")
    if isinstance(getattr(given, "kind", None), str) and callable(getattr(given, "call", None)):
        raise TypeError(f"{given!r} is a policy and no link: pass the function that it protects, policy(fn)")
    if inspect.iscoroutine(given):
        given.close()
        raise TypeError(f"a link is the function itself, not {given!r}: leave out its arguments, the chain passes them")
    if not callable(given):
        raise TypeError(
            f"a link is a function, a Fallback, a LastKnownGood or a Constant, not {given!r}; "
            f"Constant({given!r}) always has that answer"
        )
    if is_kind(inspect.isasyncgenfunction, given):
        raise TypeError(f"{given!r} is an async generator function; a link returns one answer")
    return FunctionLink(name_of(given), given)


def refuse_generator(name: str) -> NoReturn:
    """Refuse an async generator that a link has returned."""
    raise MisuseError(f"link {name!r} returned an async generator; a link returns one answer")


def name_of(fn: object) -> str:
    """Return the name of a function, of the function inside a `partial`, or of another callable's type."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    name = getattr(fn, "__name__", None)
    return name if isinstance(name, str) else type(fn).__name__
