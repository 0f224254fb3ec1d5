"""The public part of fallback chains: `Fallback`, its answers, and the decorator."""

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
    """The answer of a chain, and where it came from.

    Attributes:
        value: The answer itself.
        source: The name of the link that gave it; `"inner/link"` if it came from a chain inside the chain.
        errors: The names of the links that failed before, each with its error, in order.
        age_seconds: The greatest possible age of a remembered answer; None for an answer from this call.
    """

    value: T_co
    source: str
    errors: tuple[tuple[str, Exception], ...] = ()
    age_seconds: float | None = None

    @property
    def degraded(self) -> bool:
        """Whether an earlier link failed."""
        return bool(self.errors)


class Fallback(Generic[P, T]):
    """A chain of links that are tried in order, with the same arguments, until one has an answer.

    The chain moves on to the next link if a link rejects the call, raises `NoAnswer`, or raises an exception that `on`
    selects. Any other exception ends the chain and reaches the caller as the same object, with the earlier errors as
    notes. Cancellations, and everything else that is not an `Exception`, pass through immediately, and no later link is
    started.

    You can create a chain at import time and use it in any number of tasks. Each move to the next link is logged and
    counted; see `health()`.

    Args:
        *links: Async or plain functions and other callables, functions behind a breaker, other chains, a `Constant` as
            the last link, and `LastKnownGood` anywhere but first. None is an answer like any other.
        on: After which exceptions of a link the chain moves on, in addition to `RejectedError`, `NoAnswer` and the
            `FallbackExhaustedError` of an inner chain: a subclass of `Exception`, a tuple of them, or a predicate on
            the exception. For an exception group, all leaves have to match. If a predicate raises, its error is logged,
            and the link's exception goes to the caller.
        name: The name in logs and errors; by default that of the first link.

    Raises:
        TypeError: A link can't be called, or an argument is of the wrong type.
        ValueError: There is no link, or one that could never be asked or never answer.
    """

    __slots__ = ("__weakref__", "_run", "chain")

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
        self.chain: Chain = Chain(_links(links), on, name)
        self._run: Callable[P, Coroutine[Any, Any, T]] = _as_function(self.chain)

    @property
    def name(self) -> str:
        """The chain's name."""
        return self.chain.name

    @property
    def sources(self) -> tuple[str, ...]:
        """The names of the links, in order; links with the same name are numbered."""
        return self.chain.sources

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Return the answer of the first link that has one.

        Raises:
            FallbackExhaustedError: No link has an answer; the error contains what each of them raised.
            TypeError: A `LastKnownGood` can't tell calls by these arguments apart; no link was called.
            BaseException: An exception of a link that the chain does not move on after, the same object.
        """
        return await self._run(*args, **kwargs)

    async def detailed(self, *args: P.args, **kwargs: P.kwargs) -> Answer[T]:
        """Return the answer of the first link that has one, with its source, its age, and the errors before it.

        Raises:
            FallbackExhaustedError: No link has an answer; the error contains what each of them raised.
            TypeError: A `LastKnownGood` can't tell calls by these arguments apart; no link was called.
            BaseException: An exception of a link that the chain does not move on after, the same object.
        """
        return _answer(await self.chain.run(self.chain.links, None, args, kwargs))

    def health(self) -> dict[str, Any]:
        """Return the counts of each link as a JSON-ready dictionary; safe from any thread.

        Cancelled calls are not counted.
        """
        return self.chain.health()

    def __repr__(self) -> str:
        """Name the chain and its links."""
        return f"<Fallback {self.name!r}: {', '.join(self.sources)}>"


class Chained(Protocol[P, T]):
    """A coroutine function that was decorated with `fallback()`."""

    chain: Fallback[P, T]
    """The chain whose first link is the function."""

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
    """Links to fall back to, without a primary: decorate the primary, or pass it to `call()`.

    `fallback()` creates it. One policy can serve many primaries, and never serves a remembered answer of one primary
    for another.

    Attributes:
        kind: The kind of policy; a pipeline uses it to check the order.
    """

    __slots__ = ("_chain", "_given", "_name", "_on")

    kind: ClassVar[str] = "fallback"

    def __init__(self, links: tuple[AnyLink[D], ...], on: Condition, name: str | None) -> None:
        if not links:
            raise ValueError("fallback() needs at least one link to fall back to")
        primary = ConstantLink("primary", None)  # stands in for the primary, which is passed with each call
        self._chain = Chain((primary, *_links(links, first=1)), on, "fallback" if name is None else name)
        self._given = links
        self._on: Condition = on
        self._name = name

    def __call__(self, fn: Callable[P, Awaitable[T]], /) -> Chained[P, T | D]:
        """Decorate a coroutine function, the primary; the wrapper keeps its signature.

        The wrapper's `.chain` is a `Fallback` with its own counts, and its `.detailed()` is that of the chain. If you
        decorate a method, all links get `self` as the first argument, and so does `.detailed()`:
        `Client.fetch.detailed(client, key)`.

        Raises:
            TypeError: `fn` is not a coroutine function.
        """
        if not is_kind(inspect.iscoroutinefunction, fn):
            raise TypeError(
                f"fallback() decorates coroutine functions, not {fn!r}; Fallback(fn, ...) takes plain ones too, and a "
                "stream has no fallback: what it has delivered can't be taken back"
            )
        chain: Fallback[P, T | D] = Fallback(fn, *self._given, on=self._on, name=self._name)
        wrapper = cast("Chained[P, T | D]", _as_function(chain.chain))
        name_after(wrapper, fn)
        wrapper.chain = chain
        wrapper.detailed = chain.detailed  # type: ignore[method-assign] # a method to type checkers
        chain.chain.wrapper = wrapper
        return wrapper

    @overload
    async def call(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T | D: ...
    @overload
    async def call(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T | D: ...
    async def call(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call a primary and, if it has no answer, the links, with the same arguments.

        A `LastKnownGood` only serves answers of an equal function. Two bound methods of the same object are equal; a
        lambda that is created for each call is never equal to another.

        Args:
            fn: A function that returns an awaitable or a plain value, or another chain.
            *args: Passed on.
            **kwargs: Passed on.

        Raises:
            FallbackExhaustedError: Neither the primary nor a link had an answer; the error contains what each raised.
            TypeError: `fn` can't be called, or a `LastKnownGood` can't tell calls by these arguments apart.
            BaseException: An exception of `fn` or a link that the chain does not move on after, the same object.
        """
        if not callable(fn):
            if inspect.iscoroutine(fn):
                fn.close()
            raise MisuseError(f"call() takes a function and its arguments, `await policy.call(fn, *args)`, not {fn!r}")
        chain = self._chain
        primary: Link = fn.chain if isinstance(fn, Fallback) else FunctionLink("primary", fn)
        return (await chain.run((primary, *chain.links[1:]), fn, args, kwargs)).value

    def health(self) -> dict[str, Any]:
        """Return the counts of the primaries and the links of `call()` as a JSON-ready dictionary.

        A decorated function has its own counts, in `.chain.health()`.
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
    """Return links to fall back to: use them as a decorator, `@fallback(cached, Constant(None))`, or as a policy.

    Args:
        *links: As in `Fallback`, without the first link.
        on: As in `Fallback`.
        name: The name in logs and errors; by default that of the decorated function, or `fallback`.

    Raises:
        TypeError: A link can't be called, or an argument is of the wrong type.
        ValueError: There is no link, or one that could never be asked.
    """
    return FallbackPolicy(links, on, name)


def _as_function(chain: Chain) -> Callable[..., Coroutine[Any, Any, Any]]:
    """Return a coroutine function that runs a chain.

    The call of the first link is written out, so that a call that doesn't fall back costs hardly more than the function
    itself.
    """
    links, answer_counts, source = chain.links, chain.answer_counts, chain.sources[0]

    async def run(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the signature is the first link's
        return (await chain.run(links, None, args, kwargs)).value

    async def call_first(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the signature is the first link's
        errors: tuple[tuple[str, Exception], ...] = ()
        try:
            value = await (fn(*args, **kwargs) if kwargs else fn(*args))
        except Exception as exc:
            if not chain.moves_on(0, exc, ()):
                raise
            errors = ((source, exc),)
        else:
            answer_counts[0] += 1
            return value
        try:
            return (await chain.run(links, None, args, kwargs, errors)).value
        finally:
            errors = ()

    first = links[0]
    if chain.remembers or not isinstance(first, FunctionLink) or not is_kind(inspect.iscoroutinefunction, first.fn):
        return run
    fn = first.fn
    return call_first


def _answer(found: Found) -> Answer[Any]:
    return Answer(found.value, found.source, found.errors, found.age_seconds)


def _links(given: tuple[object, ...], *, first: int = 0) -> tuple[Link, ...]:
    """Return the links for some arguments, of which the first has the given position in its chain."""
    links = tuple(_link(position, link) for position, link in enumerate(given, first))
    if any(isinstance(link, ConstantLink) for link in links[:-1]):
        raise ValueError("a Constant always has an answer, so links behind it are never asked: put it last")
    return links


def _link(position: int, given: object) -> Link:
    if isinstance(given, Fallback):
        return given.chain
    decorated_by = getattr(given, "chain", None)
    if isinstance(decorated_by, Fallback) and decorated_by.chain.wrapper is given:
        return decorated_by.chain
    if isinstance(given, FallbackPolicy):
        raise TypeError(f"{given!r} is no link: it has no primary; pass Fallback(primary, ...)")
    return link_at(position, given)
