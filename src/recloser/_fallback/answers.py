"""Where an answer came from, and the functions that can tell.

A function under a fallback has `.detailed()`, and so has what is put around it. A policy around it gets the plain value
of a call; what else is known about the answer is passed on beside the policy.
"""

from __future__ import annotations

import functools
import inspect
from dataclasses import dataclass
from types import AsyncGeneratorType, CoroutineType
from typing import TYPE_CHECKING, Any, Concatenate, Generic, NamedTuple, ParamSpec, Protocol, TypeVar, overload

from recloser.errors import MisuseError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping
    from typing import Self

P = ParamSpec("P")
Q = ParamSpec("Q")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True)  # without slots, which a generic dataclass can't be made with by Answer[int](1, "source")
class Answer(Generic[T_co]):
    """The answer of a protected function, and where it came from.

    Attributes:
        value: The answer itself.
        source: The name of the function or link that gave it; `"inner/link"` if it came from a fallback inside the
            fallback.
        errors: The names of the functions and links that failed before, each with its error, in order.
        age_seconds: The greatest possible age of a remembered answer; None for an answer from this call.
    """

    value: T_co
    source: str
    errors: tuple[tuple[str, Exception], ...] = ()
    age_seconds: float | None = None

    @property
    def degraded(self) -> bool:
        """Whether what comes first has failed, so that this is an answer of a fallback."""
        return bool(self.errors)


class Found(NamedTuple):
    """An answer on its way to the caller.

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

    def answer(self) -> Answer[Any]:
        """Return it as callers see it."""
        return Answer(self.value, self.source, self.errors, self.age_seconds)


class Link(Protocol):
    """Something that can be asked for an answer."""

    @property
    def name(self) -> str:
        """The name of the source."""
        ...

    @property
    def is_chain(self) -> bool:
        """Whether it has links of its own, whose names are added to its name."""
        ...

    async def ask(self, args: tuple[Any, ...], kwargs: dict[str, Any], memos: Mapping[Any, Any], /) -> Found:
        """Return the answer to a call, or raise what the link raises.

        Args:
            args: The call's arguments.
            kwargs: The call's arguments.
            memos: What the chain around the link has noted about the call, for the memories inside; empty without one.
        """
        ...


class FunctionLink:
    """A function: async, plain, or any other callable."""

    __slots__ = ("fn", "name")

    is_chain = False

    def __init__(self, name: str, fn: Callable[..., Any]) -> None:
        self.name = name
        self.fn = fn

    async def ask(self, args: tuple[Any, ...], kwargs: dict[str, Any], _: Mapping[Any, Any], /) -> Found:
        """Call the function."""
        value = self.fn(*args, **kwargs)
        if type(value) is CoroutineType or needs_await(self.fn, value):
            value = await value
        return Found(value, self.name)


class PolicyLink:
    """A link with a policy around it.

    Args:
        call: The policy's `call`. It may call the function several times, as a retry or a hedge does.
        link: The link.
    """

    __slots__ = ("_call", "_link", "is_chain", "name")

    def __init__(self, call: Callable[..., Awaitable[Any]], link: Link) -> None:
        self._call = call
        self._link = link
        self.name = link.name
        self.is_chain = link.is_chain

    async def ask(self, args: tuple[Any, ...], kwargs: dict[str, Any], _: Mapping[Any, Any], /) -> Found:
        """Ask the link under the policy."""
        answers: list[Found] = []

        async def fn(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the value of the answer
            answers.append(await self._link.ask(args, kwargs, {}))
            return answers[-1].value

        found: Found | None = None
        try:
            value = await self._call(fn, *args, **kwargs)
            for found in answers:
                if found.value is value:
                    return found
            return answers[-1]._replace(value=value) if answers else Found(value, self.name)
        finally:
            # The errors of an answer refer to frames, and these to this one: without them, nothing is left in cycles.
            found = None
            answers.clear()


class Detailed:
    """The `.detailed()` of a wrapper: a call that also tells where the answer came from.

    Args:
        link: What is asked.
        owner: The wrapper. Another decorator copies the attributes of what it wraps; the copy is not its own.
    """

    __slots__ = ("link", "owner")

    def __init__(self, link: Link, owner: object) -> None:
        self.link = link
        self.owner = owner

    async def __call__(self, *args: Any, **kwargs: Any) -> Answer[Any]:  # noqa: ANN401 - the signature is the wrapper's
        """Call the wrapper, and return its answer with the source."""
        return (await self.link.ask(args, kwargs, {})).answer()

    def carry(self, wrapper: Any, fn: object, call: Callable[..., Awaitable[Any]]) -> None:  # noqa: ANN401 - any function
        """Replace this object, where it was copied to the wrapper of a policy, by one that goes through the policy.

        Args:
            wrapper: The wrapper of the policy.
            fn: The function inside. If it is not the owner, something between them copied the attribute and would be
                passed by, so the wrapper loses it.
            call: The policy's `call`.
        """
        if fn is self.owner:
            wrapper.detailed = Detailed(PolicyLink(call, self.link), wrapper)
        else:
            del wrapper.detailed

    def __repr__(self) -> str:
        """Name the wrapper."""
        return f"<detailed() of {self.owner!r}>"


class Answering(Protocol[P, T_co]):
    """A coroutine function that can tell where its answers come from."""

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T_co:
        """Return the answer."""
        ...

    async def detailed(self, *args: P.args, **kwargs: P.kwargs) -> Answer[T_co]:
        """Return the answer with its source, its age, and the errors before it."""
        ...

    @overload
    def __get__(self, instance: None, owner: type | None = None) -> Self: ...
    @overload
    def __get__(
        self: Answering[Concatenate[Any, Q], T_co], instance: object, owner: type | None = None
    ) -> Callable[Q, Coroutine[Any, Any, T_co]]: ...


class Unannotated:
    """Stands for an argument that only a parameter without a type, or of the type `object`, takes."""


def needs_await(fn: object, value: object) -> bool:
    """Return whether the result of a function has to be awaited; called only if it is no coroutine.

    Raises:
        MisuseError: The result is an async generator.
    """
    if type(value) is AsyncGeneratorType:
        raise MisuseError(f"{name_of(fn)!r} returned an async generator; a fallback needs one answer")
    return inspect.isawaitable(value)


def chain_of(fn: object) -> Link | None:
    """Return the link of a function that has a fallback inside; None for any other function."""
    detailed = getattr(fn, "detailed", None)
    if isinstance(detailed, Detailed) and detailed.owner is fn and detailed.link.is_chain:
        return detailed.link
    return None


def name_of(fn: object) -> str:
    """Return the name of a function, of the function inside a `partial`, or of another callable's type."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    name = getattr(fn, "__name__", None)
    return name if isinstance(name, str) else type(fn).__name__
