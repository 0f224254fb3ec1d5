"""The public part of fallback chains: `Fallback`, and what it makes of the functions that it protects."""

from __future__ import annotations

import inspect
import itertools
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Concatenate, Generic, Never, ParamSpec, Protocol, TypeVar, overload

from recloser._breaker.functions import name_after
from recloser._core.slots import is_kind
from recloser._fallback.answers import Answering, Detailed, FunctionLink, Unannotated, chain_of, name_of, needs_await
from recloser._fallback.chain import Chain, condition_of
from recloser._fallback.links import Constant, ConstantLink, links_of
from recloser.errors import MisuseError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Hashable

    from recloser._fallback.answers import Link
    from recloser._fallback.chain import Errors, FallbackHealth, On
    from recloser._fallback.memory import LastKnownGood

P = ParamSpec("P")
Q = ParamSpec("Q")
T = TypeVar("T")
D = TypeVar("D")
T_co = TypeVar("T_co", covariant=True)
Cls = TypeVar("Cls", bound=type[object])

_numbers = itertools.count(1)


class FallenBack(Answering[P, T_co], Protocol[P, T_co]):
    """A coroutine function that `Fallback` has decorated."""

    @property
    def sources(self) -> tuple[str, ...]:
        """The names of the function and of the links, in order; the same names are numbered."""
        ...

    def health(self) -> FallbackHealth:
        """Return the counts of the function and of each link as a JSON-ready dictionary; safe from any thread."""
        ...


class Fallback(Generic[D]):
    """What answers in place of a function when that has no answer: links that are tried in order.

    The function that a fallback protects is its *primary*. Decorate it, `@Fallback(cached, Constant(None))`, or pass it
    to `call()`, as a pipeline does. The primary is called first. If it has no answer, the links are called one after
    the other with the same arguments, until one has an answer.

    The fallback moves on to the next link if the primary or a link rejects the call, raises `NoAnswer`, or raises an
    exception that `on` adds. Any other exception reaches the caller as the same object, with the earlier errors as
    notes, and no later link is called. So do cancellations, and everything else that is not an `Exception`, without
    notes.

    You can create a fallback at import time, use it in any number of tasks, and let it protect any number of functions:
    it never serves a remembered answer of one for another. Each move to the next link is logged and counted.

    Args:
        *links: Async or plain functions and other callables, also functions that are protected by a breaker, a policy
            or another fallback; `LastKnownGood`; and, as the last link, a `Constant`. None is an answer like any other.
        on: After which exceptions the fallback moves on, in addition to `RejectedError`, what was raised from one (see
            `rejection_of`), `NoAnswer` and the `FallbackExhaustedError` of a fallback inside: a subclass of
            `Exception`, a tuple of them, or a predicate on the exception, such as `breaker.is_failure`. By default,
            there are no others. For an exception group, all leaves have to match. If a predicate raises, its error is
            logged, and the exception it was asked about goes to the caller.
        name: The name in logs and errors, where the default is that of the primary; in descriptions, where it is
            `fallback-<n>`.

    Attributes:
        kind: The kind of policy; a pipeline uses it to check the order.

    Raises:
        TypeError: A link can't be called, or an argument is of the wrong type.
        ValueError: There is no link, or one that could never be asked.
    """

    __slots__ = ("__weakref__", "_chain", "_given", "_name", "_named", "_remembers")

    kind = "fallback"

    @overload
    def __init__(self: Fallback[Never], *links: LastKnownGood, on: On = (), name: str | None = None) -> None: ...
    @overload
    def __init__(
        self,
        *links: Callable[..., Awaitable[D]] | Constant[D] | LastKnownGood,
        on: On = (),
        name: str | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self,
        *links: Callable[..., Awaitable[D]] | Callable[..., D] | Constant[D] | LastKnownGood,
        on: On = (),
        name: str | None = None,
    ) -> None: ...
    def __init__(self, *links: Any, on: On = (), name: str | None = None) -> None:
        if name is not None and not isinstance(name, str):
            raise TypeError(f"name must be a string, not {name!r}")
        self._given = links
        self._named = name
        self._name: str = f"{self.kind}-{next(_numbers)}" if name is None else name
        primary = ConstantLink("primary", None)  # stands in for the primary, which is passed with each call
        self._chain = Chain((primary, *links_of(links)), condition_of(on), self._name)
        self._remembers = self._chain.remembers

    @property
    def name(self) -> str:
        """Name in descriptions; if it was given, in logs and errors too."""
        return self._name

    @overload
    def __call__(
        self, fn: classmethod[Any, P, Coroutine[Any, Any, T]], /
    ) -> classmethod[Any, P, Coroutine[Any, Any, T | D]]: ...
    @overload
    def __call__(self, fn: Callable[Concatenate[Unannotated, ...], Awaitable[T]], /) -> FallenBack[..., T | D]: ...
    @overload
    def __call__(  # pyright: ignore[reportOverlappingOverload] - classmethod needs a function, whose `cls` it can bind
        self, fn: Callable[Concatenate[Cls, Q], Awaitable[T]], /
    ) -> Callable[Concatenate[Cls, Q], Coroutine[Any, Any, T | D]]: ...
    @overload
    def __call__(self, fn: Callable[P, Awaitable[T]], /) -> FallenBack[P, T | D]: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Decorate a coroutine function, the primary; the wrapper keeps its signature.

        The wrapper has `.detailed()`, which takes the same arguments and returns an `Answer` with the source of the
        answer, its age and the errors before it; `.sources`, the names of the primary and the links; `.health()`, their
        counts; and `.policy`, this fallback. It has counts and remembered answers of its own.

        If you decorate a method, all links get `self` as the first argument, and so does `.detailed()`:
        `Client.fetch.detailed(client, key)`. It works above and below `@classmethod` and `@staticmethod`; all links of
        a class method get the class.

        Raises:
            TypeError: The argument is no coroutine function; the message says what to use instead.
        """
        if len(args) != 1 or kwargs or not (callable(args[0]) or isinstance(args[0], classmethod)):
            raise self._misused(args, kwargs)
        if isinstance(args[0], classmethod | staticmethod):
            return type(args[0])(self(args[0].__func__))
        fn = _decorable(args[0])
        primary = _link(fn)
        chain = Chain((primary, *links_of(self._given)), self._chain.condition, self._named or primary.name)
        wrapper: Any = as_function(chain)
        name_after(wrapper, fn)
        wrapper.policy = self
        wrapper.detailed = Detailed(chain, wrapper)
        wrapper.health = chain.health
        wrapper.sources = chain.sources
        return wrapper

    @overload
    def call(
        self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Coroutine[Any, Any, T | D]: ...
    @overload
    def call(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, T | D]: ...
    def call(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Coroutine[Any, Any, Any]:
        """Call a function, the primary, and, if it has no answer, the links with the same arguments.

        A `LastKnownGood` serves only answers of an equal function. Two bound methods of the same object are equal; a
        lambda that is created for each call is never equal to another.

        Args:
            fn: A function that returns an awaitable or any other value.
            *args: Arguments of the function and of the links.
            **kwargs: Keyword arguments of the function and of the links.

        Raises:
            FallbackExhaustedError: Neither the primary nor a link had an answer; the error contains what each raised.
            TypeError: `fn` can't be called, or a `LastKnownGood` can't tell calls by these arguments apart.
            BaseException: An exception of the primary or a link that the fallback does not move on after, the same
                object.
        """
        if not callable(fn):
            _close(fn)
            raise MisuseError(
                f"call() takes a function and its arguments, `await fallback.call(fn, *args)`, not {fn!r}"
            )
        if self._remembers or chain_of(fn) is not None:
            return self._run(fn, args, kwargs)
        return self._call_first(fn, args, kwargs)

    async def _run(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401 - any function's
        return (await self.around(_link(fn), fn).run(args, kwargs)).value

    async def _call_first(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401 - any function's
        """Do the same where nothing is remembered: without a chain, unless the function has no answer."""
        errors: Errors = ()
        try:
            value = fn(*args, **kwargs)
            if type(value) is CoroutineType or needs_await(fn, value):
                value = await value
        except Exception as exc:
            chain = self.around(_link(fn), fn)
            if not chain.moves_on(0, exc, ()):
                raise
            errors = ((chain.sources[0], exc),)
        else:
            self._chain.counts.answers[0] += 1
            return value
        try:
            return (await chain.run(args, kwargs, errors)).value
        finally:
            errors = ()

    def around(self, primary: Link, subject: Hashable) -> Chain:
        """Internal: return a chain of a primary and the links; all that are made here share counts and memories.

        Args:
            primary: The primary.
            subject: What answers are remembered for; equal for the same primary.
        """
        return self._chain.around(primary, self._named or primary.name, subject)

    def health(self) -> FallbackHealth:
        """Return the counts of `call()` and of pipelines as a JSON-ready dictionary; safe from any thread.

        All primaries are counted together, as `primary`. A function that this fallback decorates has its own counts, in
        its `.health()`. Cancelled calls are not counted.
        """
        return self._chain.health()

    def _misused(self, args: tuple[object, ...], kwargs: dict[str, object]) -> MisuseError:
        given = ", ".join([*map(repr, args), *(f"{name}={value!r}" for name, value in kwargs.items())])
        for argument in (*args, *kwargs.values()):
            _close(argument)
        first, *others = self._link_names()
        return MisuseError(
            f"a Fallback takes one argument, the function that it protects, not ({given}); if that is {first}, call "
            f"Fallback({', '.join(others) or '...'})({first}), or put @Fallback(...) above it, with what to fall back "
            "to in the parentheses"
        )

    def _link_names(self) -> list[str]:
        return [link.name for link in self._chain.links[1:]]

    def __str__(self) -> str:
        """Name the fallback and its links."""
        return f"Fallback {self._name!r}: to {', '.join(self._link_names())}"

    def __repr__(self) -> str:
        """Name the fallback and its links."""
        return f"<{self}>"


def _link(fn: Callable[..., Any]) -> Link:
    return chain_of(fn) or FunctionLink(name_of(fn), fn)


def _decorable(fn: object) -> Any:  # noqa: ANN401 - a coroutine function
    """Return what can be decorated.

    Raises:
        TypeError: It is no coroutine function.
    """
    if is_kind(inspect.isasyncgenfunction, fn):
        raise TypeError(
            "Fallback does not decorate async generator functions: items that have been delivered can't be taken back; "
            f"protect a coroutine function that opens the stream or collects its items, not {fn!r}"
        )
    if not is_kind(inspect.iscoroutinefunction, fn):
        raise TypeError(
            f"Fallback decorates coroutine functions, not {fn!r}; "
            "await policy.call(fn, ...) takes any function that returns an awaitable or a value"
        )
    return fn


def as_function(chain: Chain) -> Callable[..., Coroutine[Any, Any, Any]]:
    """Return a coroutine function that runs a chain.

    The call of the primary is written out, so that a call that doesn't fall back costs hardly more than the function
    itself.
    """
    answer_counts, source = chain.counts.answers, chain.sources[0]

    async def run(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the signature is the primary's
        return (await chain.run(args, kwargs)).value

    async def call_first(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the signature is the primary's
        errors: Errors = ()
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
            return (await chain.run(args, kwargs, errors)).value
        finally:
            errors = ()

    first = chain.links[0]
    if chain.remembers or not isinstance(first, FunctionLink) or not is_kind(inspect.iscoroutinefunction, first.fn):
        return run
    fn = first.fn
    return call_first


def _close(given: object) -> None:
    if inspect.iscoroutine(given):
        given.close()
