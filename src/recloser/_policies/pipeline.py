"""Pipeline: several policies around one call, in an explicit order."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from recloser._breaker.breaker import CircuitBreaker
from recloser._policies.order import TWICE, Layer, objections
from recloser._policies.policy import StreamPolicy
from recloser.errors import ConfigurationWarning

if TYPE_CHECKING:
    from collections.abc import Callable

    from recloser._policies.policy import Guarding, Wrapped


class PolicyCall:
    """A function under one policy, called with the arguments of the caller.

    Two of them are equal if their policies and functions are, so that `LastKnownGood` recognises the function.
    """

    __slots__ = ("_call", "_fn")

    def __init__(self, call: Callable[..., Any], fn: Callable[..., Any]) -> None:
        self._call = call
        self._fn = fn

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

    The pipeline decorates an async generator function if each of its policies does.

    Args:
        *policies: Policies, breakers, fallbacks, pipelines, or objects with a `call` like theirs; at least one.
        name: Name in descriptions; `pipeline-<n>` if not given.

    Raises:
        TypeError: An object has no `call`, or the name is no string.
        ValueError: There are no policies.

    Warns:
        ConfigurationWarning: The order has a known drawback.
    """

    __slots__ = ("_policies",)

    kind = "pipeline"

    def __init__(self, *policies: Guarding, name: str | None = None) -> None:
        super().__init__(name)
        if not policies:
            raise ValueError("a pipeline needs at least one policy, outermost first")
        for policy in policies:
            if isinstance(policy, type) or not callable(getattr(policy, "call", None)):
                hint = "; fallback(...) turns the links of a chain into a policy" if hasattr(policy, "detailed") else ""
                raise TypeError(
                    f"a policy must be an object with a method call(fn, *args, **kwargs), not {policy!r}{hint}"
                )
        self._policies = tuple(inner for policy in policies for inner in _flat(policy))
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

    def _around(self, fn: Callable[..., Any]) -> Wrapped:
        outermost, *others = self._policies
        for policy in reversed(others):
            fn = PolicyCall(policy.call, fn)
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
        """Return the order as text: one line per policy with its settings, outermost first."""
        lines = (f"{number}. {_text(policy)}" for number, policy in enumerate(self._policies, 1))
        return "\n".join((f"Pipeline {self._name!r}, outermost first:", *lines))

    def __repr__(self) -> str:
        """Name the pipeline and the kinds of its policies."""
        return f"<Pipeline {self._name!r}: {self._settings()}>"


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
