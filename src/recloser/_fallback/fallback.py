"""Fallback chains: what users hold in their hands."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Concatenate,
    Generic,
    Never,
    ParamSpec,
    Protocol,
    TypeVar,
    cast,
    overload,
)

from recloser._breaker.functions import is_kind, name_after
from recloser._fallback.chain import Chain
from recloser._fallback.links import Constant, ConstantLink, FunctionLink, Link, link_at
from recloser.errors import MisuseError, RejectedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from typing import Self

    from recloser._fallback.chain import Condition
    from recloser._fallback.links import Found
    from recloser._fallback.memory import LastKnownGood

    AnyLink = Callable[..., Awaitable["T"]] | Callable[..., "T"] | Constant["T"] | LastKnownGood

P = ParamSpec("P")
Q = ParamSpec("Q")
T = TypeVar("T")
D = TypeVar("D")
E = TypeVar("E")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True)  # without slots, as Constant
class Answer(Generic[T_co]):
    """The answer of a chain, and how it was come by.

    Attributes:
        value: The answer itself.
        source: Name of the link that gave it; `"inner/link"` if it came from a chain within the chain.
        errors: What each link that was left behind raised, with the link's name, in order.
        age_seconds: How old a remembered answer may be; None if it was given in this call.
    """

    value: T_co
    source: str
    errors: tuple[tuple[str, Exception], ...] = ()
    age_seconds: float | None = None

    @property
    def degraded(self) -> bool:
        """Whether a link had to be left behind for it."""
        return bool(self.errors)


class Fallback(Chain, Generic[P, T]):
    """A chain of links, asked in order with the same arguments until one has an answer.

    The chain goes on to the next link when a link rejects the call, raises `NoAnswer`, or raises what `on` names. Every
    other exception ends the chain and reaches the caller, the same object, with the earlier errors as its notes.
    Cancellation, and whatever else is no `Exception`, passes at once: no later link is started.

    Chains may be made at import time and used by any number of tasks. Each step down is logged and counted, see
    `health()`.

    Args:
        *links: Async or plain functions and other callables, functions behind a breaker, other chains, a `Constant` as
            the last, and `LastKnownGood` anywhere but first. None is an answer like any other.
        on: For which exceptions of a link the chain goes on, beside `RejectedError`, `NoAnswer` and the
            `FallbackExhaustedError` of a chain within: a subclass of `Exception`, a tuple of them, or a predicate on
            the exception. A group is one of them if each of its leaves is. What a predicate raises is logged, and the
            link's exception goes to the caller.
        name: Name in logs and errors; by default that of the first link.

    Raises:
        TypeError: A link can't be called, or an argument is of the wrong type.
        ValueError: There is no link, or one that could never be asked or never answer.
    """

    __slots__ = ("_run", "_wrapper")

    @overload
    def __init__(
        self,
        primary: Callable[P, Awaitable[T]],
        /,
        *links: AnyLink[T],
        on: Condition = RejectedError,
        name: str | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: Fallback[Q, E | D],
        primary: Callable[Q, Awaitable[E]],
        /,
        *links: AnyLink[D],
        on: Condition = RejectedError,
        name: str | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self,
        primary: Callable[P, T],
        /,
        *links: AnyLink[T],
        on: Condition = RejectedError,
        name: str | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: Fallback[Q, E | D],
        primary: Callable[Q, E],
        /,
        *links: AnyLink[D],
        on: Condition = RejectedError,
        name: str | None = None,
    ) -> None: ...
    def __init__(self, *links: Any, on: Condition = RejectedError, name: str | None = None) -> None:
        if not links:
            raise ValueError("a chain needs at least one link")
        super().__init__(_links(links), on, name)
        self._wrapper: object = None
        self._run: Callable[P, Coroutine[Any, Any, T]] = _way_down(self)

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Return the answer of the first link that has one.

        Raises:
            FallbackExhaustedError: No link has one; it holds what each of them raised.
            TypeError: A `LastKnownGood` can't tell calls by these arguments apart; no link was asked.
            BaseException: Whatever a link raises for which the chain does not go on, the same object.
        """
        return await self._run(*args, **kwargs)

    async def detailed(self, *args: P.args, **kwargs: P.kwargs) -> Answer[T]:
        """Return the answer of the first link that has one, with its source, its age, and the errors before it.

        Raises:
            FallbackExhaustedError: No link has one; it holds what each of them raised.
            TypeError: A `LastKnownGood` can't tell calls by these arguments apart; no link was asked.
            BaseException: Whatever a link raises for which the chain does not go on, the same object.
        """
        return _answer(await self._walk(self._links, None, args, kwargs))

    def __repr__(self) -> str:
        """Name the chain and its links."""
        return f"<Fallback {self._name!r}: {', '.join(self._sources)}>"


class Chained(Protocol[P, T]):
    """A coroutine function that was decorated with `fallback()`."""

    chain: Fallback[P, T]
    """The chain that the function has become the first link of."""

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Return the answer of the first link that has one."""
        ...

    async def detailed(self, *args: P.args, **kwargs: P.kwargs) -> Answer[T]:
        """Return the answer of the first link that has one, with its source, its age, and the errors before it."""
        ...

    @overload
    def __get__(self, instance: None, owner: type | None = None) -> Self: ...
    @overload
    def __get__(
        self: Chained[Concatenate[Any, Q], T], instance: object, owner: type | None = None
    ) -> Callable[Q, Coroutine[Any, Any, T]]: ...


class FallbackPolicy(Generic[D]):
    """Links to fall back to, without the primary: decorates it, or is handed it with each call.

    Made by `fallback()`. One policy may serve many primaries; what is remembered of one is never served for another.

    Attributes:
        kind: What this policy is, for whoever puts policies in order.
    """

    __slots__ = ("_chain", "_given", "_name", "_on")

    kind: ClassVar[str] = "fallback"

    def __init__(self, links: tuple[AnyLink[D], ...], on: Condition, name: str | None) -> None:
        if not links:
            raise ValueError("fallback() needs at least one link to fall back to")
        place = ConstantLink("primary", None)  # keeps the place of the primary, which comes with each call
        self._chain = Chain((place, *_links(links, first=1)), on, "fallback" if name is None else name)
        self._given = links
        self._on: Condition = on
        self._name = name

    def __call__(self, fn: Callable[P, Awaitable[T]], /) -> Chained[P, T | D]:
        """Decorate a coroutine function, the primary; the wrapper keeps its signature.

        The wrapper's `.chain` is a `Fallback` with counts of its own, `.detailed()` is that of the chain. On a method
        the links get `self` first, and `.detailed()` wants it too: `Client.fetch.detailed(client, key)`.

        Raises:
            TypeError: `fn` is no coroutine function.
        """
        if not is_kind(inspect.iscoroutinefunction, fn):
            raise TypeError(
                f"fallback() decorates coroutine functions, not {fn!r}; Fallback(fn, ...) takes plain ones too, and a "
                "stream has no fallback: what it has delivered can't be taken back"
            )
        chain: Fallback[P, T | D] = Fallback(fn, *self._given, on=self._on, name=self._name)
        wrapper = cast("Chained[P, T | D]", chain._run)
        name_after(wrapper, fn)
        wrapper.chain = chain
        wrapper.detailed = chain.detailed  # type: ignore[method-assign] # a method to type checkers
        chain._wrapper = wrapper
        return wrapper

    @overload
    async def call(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T | D: ...
    @overload
    async def call(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T | D: ...
    async def call(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call a primary and, if it has no answer, the links, with the same arguments.

        A `LastKnownGood` serves what it remembers of the same function only: one that is equal to it, as a bound method
        is, but a lambda that is made for each call is not.

        Args:
            fn: A function that returns an awaitable or a plain value, or another chain.
            *args: Passed on.
            **kwargs: Passed on.

        Raises:
            FallbackExhaustedError: Nobody had an answer; it holds what each of them raised.
            TypeError: `fn` can't be called, or a `LastKnownGood` can't tell calls by these arguments apart.
            BaseException: Whatever `fn` or a link raises for which the chain does not go on, the same object.
        """
        if not callable(fn):
            if inspect.iscoroutine(fn):
                fn.close()
            raise MisuseError(f"call() takes a function and its arguments, `await policy.call(fn, *args)`, not {fn!r}")
        chain = self._chain
        primary: Link = fn if isinstance(fn, Chain) else FunctionLink("primary", fn)
        return (await chain._walk((primary, *chain._links[1:]), fn, args, kwargs)).value

    def health(self) -> dict[str, Any]:
        """Return what the primaries and the links of `call()` have done, as a JSON-ready dictionary.

        A decorated function counts for itself, in `.chain.health()`.
        """
        return self._chain.health()

    def __str__(self) -> str:
        """Name the policy and its links."""
        return f"fallback {self._chain.name!r}: to {', '.join(self._chain.sources[1:])}"

    def __repr__(self) -> str:
        """Name the policy and its links."""
        return f"<{self}>"


@overload
def fallback(
    *links: LastKnownGood, on: Condition = RejectedError, name: str | None = None
) -> FallbackPolicy[Never]: ...
@overload
def fallback(
    *links: Callable[..., Awaitable[D]] | Constant[D] | LastKnownGood,
    on: Condition = RejectedError,
    name: str | None = None,
) -> FallbackPolicy[D]: ...
@overload
def fallback(*links: AnyLink[D], on: Condition = RejectedError, name: str | None = None) -> FallbackPolicy[D]: ...
def fallback(*links: Any, on: Condition = RejectedError, name: str | None = None) -> FallbackPolicy[Any]:
    """Return links to fall back to, as a decorator of the primary or as a policy: `@fallback(cached, Constant(None))`.

    Args:
        *links: As those of `Fallback` behind its first one.
        on: As in `Fallback`.
        name: Name in logs and errors; by default that of the decorated function, or `fallback`.

    Raises:
        TypeError: A link can't be called, or an argument is of the wrong type.
        ValueError: There is no link, or one that could never be asked.
    """
    return FallbackPolicy(links, on, name)


def _way_down(chain: Chain) -> Callable[..., Coroutine[Any, Any, Any]]:
    """Return the coroutine function that asks a chain.

    The first link is written out: what is not degraded shall cost hardly more than the call itself.
    """
    links, answers, source = chain._links, chain._answers, chain.sources[0]

    async def walked(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the signature is the first link's
        return (await chain._walk(links, None, args, kwargs)).value

    async def answered(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the signature is the first link's
        errors: tuple[tuple[str, Exception], ...] = ()
        try:
            value = await (fn(*args, **kwargs) if kwargs else fn(*args))
        except Exception as exc:
            if not chain._goes_on(0, exc, ()):
                raise
            errors = ((source, exc),)
        else:
            answers[0] += 1
            return value
        try:
            return (await chain._walk(links, None, args, kwargs, errors)).value
        finally:
            errors = ()

    first = links[0]
    if chain._remembers or not isinstance(first, FunctionLink) or not is_kind(inspect.iscoroutinefunction, first.fn):
        return walked
    fn = first.fn
    return answered


def _answer(found: Found) -> Answer[Any]:
    return Answer(found.value, found.source, found.errors, found.age_seconds)


def _links(given: tuple[object, ...], *, first: int = 0) -> tuple[Link, ...]:
    """Return the links that arguments stand for; the first one is at the given position of its chain."""
    links = tuple(_link(position, link) for position, link in enumerate(given, first))
    if any(isinstance(link, ConstantLink) for link in links[:-1]):
        raise ValueError("a Constant always has an answer, so that links behind it are never asked: put it last")
    return links


def _link(position: int, given: object) -> Link:
    if isinstance(given, Fallback):
        return given
    chain = getattr(given, "chain", None)
    if isinstance(chain, Fallback) and chain._wrapper is given:
        return chain
    if isinstance(given, FallbackPolicy):
        raise TypeError(f"{given!r} is no link: it has no primary; pass Fallback(primary, ...)")
    return link_at(position, given)
