"""Pipeline: several policies around one call, in an explicit order."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeGuard, TypeVar, overload

from recloser._breaker.breaker import CircuitBreaker
from recloser._fallback.answers import (
    Answering,
    Detailed,
    FunctionLink,
    PolicyLink,
    Unannotated,
    chain_of,
    name_of,
)
from recloser._policies.order import TWICE, Layer, objections
from recloser._policies.policy import Guarding, StreamPolicy
from recloser.errors import ConfigurationWarning

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Hashable

    from recloser._fallback.answers import Link
    from recloser._policies.policy import Wrapped

P = ParamSpec("P")
Q = ParamSpec("Q")
T = TypeVar("T")
Cls = TypeVar("Cls", bound=type[object])
S = TypeVar("S", bound="Callable[..., AsyncIterator[Any]]")


class _Fallback(Guarding, Protocol):
    """A `Fallback`: it can say where its answers come from."""

    def around(self, primary: Link, subject: Hashable) -> Link:
        """Return the chain of a primary and the links of the fallback."""
        ...


class PolicyCall:
    """A function under one policy, called with the arguments of the caller.

    Two of them are equal if their policies and functions are, so that `LastKnownGood` recognises the function.
    """

    __slots__ = ("_call", "_fn")

    def __init__(self, call: Callable[..., Any], fn: Callable[..., Any]) -> None:
        self._call = call
        self._fn = fn

    @property
    def __name__(self) -> str:
        """The name of the innermost function."""
        return name_of(self._fn)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the function's result
        """Call the function under the policy."""
        return self._call(self._fn, *args, **kwargs)

    def __eq__(self, other: object) -> bool:
        """Compare the policies and the functions."""
        return isinstance(other, PolicyCall) and (self._call, self._fn) == (other._call, other._fn)

    def __hash__(self) -> int:
        """Hash the policy and the function."""
        return hash((self._call, self._fn))


class Pipeline(StreamPolicy):
    """Puts several policies around a call; the first one is the outermost.

    The usual order is `Pipeline(fallback, retry, bulkhead, breaker, timeout)`, with a rate limit next to the bulkhead:
    calls wait before the breaker decides about them, and the deadline limits only what the dependency takes. An order
    with a known drawback is allowed; a warning says why it has one, once, where the pipeline is created. A pipeline
    inside a pipeline is replaced by its policies. `str(pipeline)` lists the policies with their settings.

    The pipeline decorates an async generator function if each of its policies does. A decorated coroutine function has
    `.detailed()`, which takes the same arguments and returns an `Answer`: the value, and where it came from. Without a
    `Fallback` in the pipeline, that is always the function itself. With several, it is as in fallbacks inside
    fallbacks: `function/function`, or `function/link` of the inner one; if the inner one has a name, that stands before
    the slash.

    Args:
        *policies: Policies, breakers, fallbacks, pipelines, or objects with a `call` like theirs; at least one.
        name: Name in descriptions; `pipeline-<n>` if not given.

    Raises:
        TypeError: An object has no `call`, or the name is no string.
        ValueError: There are no policies.

    Warns:
        ConfigurationWarning: The order has a known drawback.
    """

    __slots__ = ("_fallback_count", "_policies")

    kind = "pipeline"

    def __init__(self, *policies: Guarding, name: str | None = None) -> None:
        super().__init__(name)
        if not policies:
            raise ValueError("a pipeline needs at least one policy, outermost first")
        for policy in policies:
            if isinstance(policy, type) or not callable(getattr(policy, "call", None)):
                hint = "; pass the Fallback, without its primary" if hasattr(policy, "detailed") else ""
                raise TypeError(
                    f"a policy must be an object with a method call(fn, *args, **kwargs), not {policy!r}{hint}"
                )
        self._policies = tuple(inner for policy in policies for inner in _flat(policy))
        self._fallback_count = sum(map(_is_fallback, self._policies))
        inner = [policy.policies for policy in policies if isinstance(policy, Pipeline)]
        known = {objection for inner_policies in inner for objection in _objections(inner_policies)}
        for objection in sorted(set(_objections(self._policies)) - known):
            # A generated name would make each warning a new one, and so defeat the filter "once".
            text = objection if name is None else f"{name}: {objection}"
            warnings.warn(text, ConfigurationWarning, stacklevel=2)

    @property
    def policies(self) -> tuple[Guarding, ...]:
        """The policies, outermost first, with inner pipelines replaced by theirs."""
        return self._policies

    @overload  # type: ignore[override] # a policy returns the type that it gets, which has no detailed()
    def __call__(self, fn: Callable[Concatenate[Unannotated, ...], Coroutine[Any, Any, T]], /) -> Answering[..., T]: ...
    @overload
    def __call__(  # pyright: ignore[reportOverlappingOverload] - classmethod needs a function, whose `cls` it can bind
        self, fn: Callable[Concatenate[Cls, Q], Coroutine[Any, Any, T]], /
    ) -> Callable[Concatenate[Cls, Q], Coroutine[Any, Any, T]]: ...
    @overload
    def __call__(self, fn: Callable[P, Coroutine[Any, Any, T]], /) -> Answering[P, T]: ...
    @overload
    def __call__(self, fn: S, /) -> S: ...
    def __call__(self, fn: Any, /) -> Any:
        """Decorate a coroutine function or an async generator function; the wrapper's `.policy` is this pipeline.

        Raises:
            TypeError: `fn` is neither, or is an async generator function and a policy does not decorate those.
        """
        return super().__call__(fn)

    def _around(self, fn: Callable[..., Any]) -> Wrapped:
        if self._fallback_count + (chain_of(fn) is not None) > 1:
            return _as_function(self._link(fn))
        outermost, *others = self._policies
        for policy in reversed(others):
            fn = PolicyCall(policy.call, fn)
        call = outermost.call

        async def protected(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the signature is the function's
            return await call(fn, *args, **kwargs)

        return protected

    def _decorate(self, fn: Any) -> Any:  # noqa: ANN401 - typed where it is called
        wrapper = super()._decorate(fn)
        wrapper.detailed = Detailed(self._link(fn), wrapper)
        return wrapper

    def _link(self, fn: Callable[..., Any]) -> Link:
        """Return the link that tells where the answers of a function under this pipeline come from."""
        link = chain_of(fn) or FunctionLink(name_of(fn), fn)
        for policy in reversed(self._policies):
            call = PolicyCall(policy.call, fn)
            if _is_fallback(policy):
                link = policy.around(link, fn)
            elif link.is_chain:
                link = PolicyLink(policy.call, link)
            else:
                link = FunctionLink(link.name, call)
            fn = call
        return link

    def _decorate_stream(self, fn: Any) -> Any:  # noqa: ANN401 - typed where it is called
        wrapper = fn
        for policy in reversed(self._policies):
            if not callable(policy):
                raise TypeError(f"{policy!r} does not decorate async generator functions: it has only call()")
            wrapper = policy(wrapper)
        return self._dress(wrapper, fn)

    def _settings(self) -> str:
        return " > ".join(map(_kind, self._policies))

    def __str__(self) -> str:
        """Return the order as text: one line per policy with its settings, outermost first."""
        lines = (f"{number}. {_text(policy)}" for number, policy in enumerate(self._policies, 1))
        return "\n".join((f"Pipeline {self._name!r}, outermost first:", *lines))

    def __repr__(self) -> str:
        """Name the pipeline and the kinds of its policies."""
        return f"<Pipeline {self._name!r}: {self._settings()}>"


def _as_function(link: Link) -> Wrapped:
    """Return a coroutine function that asks a link.

    A fallback around another one is thus told which answers are fresh, and does not remember those that are not.
    """

    async def protected(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the signature is the function's
        return (await link.ask(args, kwargs, {})).value

    return protected


def _is_fallback(policy: Guarding) -> TypeGuard[_Fallback]:
    """Return whether a policy is a `Fallback`, not only one of its kind."""
    return _kind(policy) == "fallback" and hasattr(policy, "around")


def _flat(policy: Guarding) -> tuple[Guarding, ...]:
    return policy.policies if isinstance(policy, Pipeline) else (policy,)


def _kind(policy: Guarding) -> str:
    """Return the kind of a policy, as warnings and descriptions name it."""
    if isinstance(policy, CircuitBreaker):
        return "breaker"
    kind = getattr(policy, "kind", None)
    return kind if isinstance(kind, str) else type(policy).__name__


def _text(policy: Guarding) -> str:
    if isinstance(policy, CircuitBreaker):
        timeout = policy.reset_timeout_seconds
        wait = f"{timeout:g} s" if isinstance(timeout, float | int) else str(timeout)
        return f"CircuitBreaker {policy.name!r}: opens on {policy.snapshot().rule}, for {wait}"
    return str(policy)


def _objections(policies: tuple[Guarding, ...]) -> list[str]:
    layers = [Layer(_kind(policy), bool(getattr(policy, "may_wait", False))) for policy in policies]
    found = list(objections(layers))
    twice = (policy for policy in policies if sum(policy is other for other in policies) > 1)
    found.extend(f"{_text(policy)} twice: {TWICE[_kind(policy)]}" for policy in twice if _kind(policy) in TWICE)
    return found
