"""Pipeline: several policies around one call, in an order that can be read."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from recloser._breaker.breaker import CircuitBreaker
from recloser.errors import ConfigurationWarning
from recloser.policies._order import TWICE, objections
from recloser.policies._policy import StreamPolicy

if TYPE_CHECKING:
    from collections.abc import Callable

    from recloser.policies._policy import Guarding, Wrapped


class Step:
    """A function under one policy, called with the caller's own arguments.

    Equal to another one of the same policy and function: a fallback's memory is to know it again.
    """

    __slots__ = ("_call", "_fn")

    def __init__(self, call: Callable[..., Any], fn: Callable[..., Any]) -> None:
        self._call = call
        self._fn = fn

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the function's result
        """Call the function under the policy."""
        return self._call(self._fn, *args, **kwargs)

    def __eq__(self, other: object) -> bool:
        """Compare policy and function."""
        return isinstance(other, Step) and (self._call, self._fn) == (other._call, other._fn)

    def __hash__(self) -> int:
        """Hash policy and function."""
        return hash((self._call, self._fn))


class Pipeline(StreamPolicy):
    """Puts policies around a call; the first is the outermost.

    The usual order is `Pipeline(fallback, retry, breaker, timeout, bulkhead)`. Orders that the field warns against are
    allowed, and warned about once, where the pipeline is made, with the reason. A pipeline within a pipeline stands for
    its policies.

    An async generator function can be decorated if every policy in the pipeline can decorate one.

    Args:
        *policies: Policies, breakers, fallbacks, pipelines, or anything with a `call` like theirs; at least one.
        name: Name in descriptions; `pipeline-<n>` if not given.

    Raises:
        TypeError: Something has no `call`, or the name is no string.
        ValueError: There are no policies.

    Warns:
        ConfigurationWarning: The order has a known drawback.
    """

    __slots__ = ("_objections", "_policies")

    kind = "pipeline"

    def __init__(self, *policies: Guarding, name: str | None = None) -> None:
        super().__init__(name)
        if not policies:
            raise ValueError("a pipeline needs at least one policy, outermost first")
        for policy in policies:
            if isinstance(policy, type) or not callable(getattr(policy, "call", None)):
                hint = "; fallback(...) makes a policy of a chain's links" if hasattr(policy, "detailed") else ""
                raise TypeError(
                    f"a policy must be an object with a method call(fn, *args, **kwargs), not {policy!r}{hint}"
                )
        self._policies = tuple(inner for policy in policies for inner in _flat(policy))
        self._objections = frozenset(_objections(self._policies))
        told = frozenset(told for policy in policies if isinstance(policy, Pipeline) for told in policy._objections)
        for objection in sorted(self._objections - told):
            text = objection if name is None else f"{name}: {objection}"  # with a made-up name each were a new one
            warnings.warn(text, ConfigurationWarning, stacklevel=2)

    @property
    def policies(self) -> tuple[Guarding, ...]:
        """The policies, outermost first; those of inner pipelines in their place."""
        return self._policies

    def describe(self) -> str:
        """Return the order as text: a line per policy with its settings, outermost first."""
        lines = (f"{number}. {_text(policy)}" for number, policy in enumerate(self._policies, 1))
        return "\n".join((f"Pipeline {self._name!r}, outermost first:", *lines))

    def _around(self, fn: Callable[..., Any]) -> Wrapped:
        outermost, *others = self._policies
        for policy in reversed(others):
            fn = Step(policy.call, fn)
        call = outermost.call

        async def protected(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the signature is the function's
            return await call(fn, *args, **kwargs)

        return protected

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
        """Return the same as `describe()`."""
        return self.describe()

    def __repr__(self) -> str:
        """Name the pipeline and the kinds of its policies."""
        return f"<Pipeline {self._name!r}: {self._settings()}>"


def _flat(policy: Guarding) -> tuple[Guarding, ...]:
    return policy._policies if isinstance(policy, Pipeline) else (policy,)


def _kind(policy: Guarding) -> str:
    """Return what a policy is, by the word that warnings and descriptions use."""
    if isinstance(policy, CircuitBreaker):
        return "breaker"
    kind = getattr(policy, "kind", None)
    return kind if isinstance(kind, str) else type(policy).__name__


def _text(policy: Guarding) -> str:
    if isinstance(policy, CircuitBreaker):
        timeout = policy.reset_timeout_seconds
        open_time = f"{timeout:g} s" if isinstance(timeout, float | int) else str(timeout)
        return f"CircuitBreaker {policy.name!r}: opens on {policy.snapshot().rule}, for {open_time}"
    return str(policy)


def _objections(policies: tuple[Guarding, ...]) -> list[str]:
    found = list(objections([_kind(policy) for policy in policies]))
    twice = (policy for policy in policies if sum(policy is other for other in policies) > 1)
    found.extend(f"{_text(policy)} twice: {TWICE}" for policy in twice if _kind(policy) in {"breaker", "bulkhead"})
    return found
