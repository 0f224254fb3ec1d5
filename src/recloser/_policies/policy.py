"""What all policies share: `call`, the decorator and a name.

A policy implements one method, `_around(fn)`, which returns a coroutine function that calls `fn` under the policy. The
decorator returns that function, named after `fn`; `call` calls it right away. Policies compose because `call` takes any
function, including the `call` of another policy: `outer.call(inner.call, fn, *args)`.

A `Pipeline` recognises policies by their `kind`, a string such as "retry", and asks those that admit calls whether a
call may wait in them (`may_wait`). An object without a kind only needs a `call`.
"""

from __future__ import annotations

import inspect
import itertools
from abc import ABC, abstractmethod
from types import AsyncGeneratorType
from typing import TYPE_CHECKING, Any, ClassVar, ParamSpec, Protocol, TypeVar, overload

from recloser._breaker.functions import carry_detailed, name_after
from recloser._breaker.streams import Stream, pump
from recloser._core.outcomes import leaves
from recloser._core.slots import is_kind
from recloser.errors import MisuseError, RejectedError, rejection_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine

    Wrapped = Callable[..., Coroutine[Any, Any, Any]]

P = ParamSpec("P")
T = TypeVar("T")
CoroutineFunction = TypeVar("CoroutineFunction", bound="Callable[..., Coroutine[Any, Any, Any]]")
AsyncFunction = TypeVar("AsyncFunction", bound="Callable[..., Coroutine[Any, Any, Any] | AsyncIterator[Any]]")

_numbers = itertools.count(1)


class Guarding(Protocol):
    """An object that can be put around a call: a policy, a breaker, a fallback, a pipeline, or one of your own."""

    def call(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Awaitable[Any]:  # noqa: ANN401 - any function's
        """Call a function under protection."""
        ...


class Policy(ABC):
    """A policy for functions that return an awaitable or any other value.

    Args:
        name: Name in errors, logs and descriptions; if None, the kind and a number that is unique in the process.

    Raises:
        TypeError: The name is no string.
    """

    __slots__ = ("__weakref__", "_name")

    kind: ClassVar[str]
    _no_generators: ClassVar[str] = ""
    """Why the policy refuses async generator functions, and what to do instead."""

    def __init__(self, name: str | None) -> None:
        if name is None:
            name = f"{self.kind}-{next(_numbers)}"
        if not isinstance(name, str):
            raise TypeError(f"name must be a string, not {name!r}")
        self._name = name

    @property
    def name(self) -> str:
        """Name in errors, logs and descriptions."""
        return self._name

    @overload
    def call(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, T]: ...
    @overload
    def call(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, T]: ...
    def call(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Coroutine[Any, Any, Any]:
        """Call a function under this policy and return its result.

        Args:
            fn: A function that returns an awaitable or any other value.
            *args: Arguments of the function.
            **kwargs: Keyword arguments of the function.

        Raises:
            TypeError: `fn` is not callable, or is an async generator function.
            BaseException: Whatever `fn` raises, the same object; and the exceptions of the policy, see its class.
        """
        if not callable(fn):
            raise _no_function(self, fn)
        return self._around(fn)(*args, **kwargs)

    def __call__(self, fn: CoroutineFunction, /) -> CoroutineFunction:
        """Decorate a coroutine function; the wrapper's `.policy` is this policy.

        Raises:
            TypeError: `fn` is no coroutine function; the message says what to use instead.
        """
        if is_kind(inspect.isasyncgenfunction, fn):
            raise TypeError(f"{type(self).__name__} does not decorate async generator functions: {self._no_generators}")
        wrapper: CoroutineFunction = self._decorate(fn)
        return wrapper

    @abstractmethod
    def _around(self, fn: Callable[..., Any]) -> Wrapped:
        """Return the coroutine function that calls the function under this policy."""

    @abstractmethod
    def _settings(self) -> str:
        """Return a description of the settings."""

    def _decorate(self, fn: Any) -> Any:  # noqa: ANN401 - typed where it is called
        if not is_kind(inspect.iscoroutinefunction, fn):
            hint = "await policy.call(fn, ...) takes any function that returns an awaitable or a value"
            if isinstance(fn, classmethod | staticmethod):
                hint = f"put it below @{type(fn).__name__}"
            raise TypeError(f"{type(self).__name__} decorates coroutine functions, not {fn!r}; {hint}")
        wrapper = self._dress(self._around(fn), fn)
        carry_detailed(wrapper, fn, self.call)
        return wrapper

    def _dress(self, wrapper: Any, fn: Any) -> Any:  # noqa: ANN401 - any function
        name_after(wrapper, fn)
        wrapper.policy = self
        return wrapper

    def __str__(self) -> str:
        """Name the policy and its settings."""
        return f"{type(self).__name__} {self._name!r}: {self._settings()}"

    def __repr__(self) -> str:
        """Name the policy and its settings."""
        return f"<{self}>"


class StreamPolicy(Policy):
    """A policy that also protects async generator functions."""

    __slots__ = ()

    def __call__(self, fn: AsyncFunction, /) -> AsyncFunction:
        """Decorate a coroutine function or an async generator function; the wrapper's `.policy` is this policy.

        An async generator is admitted at its first step. Its permit is released when the iteration ends, whether it is
        exhausted, fails, is closed early or is cancelled.

        Raises:
            TypeError: `fn` is neither; the message says what to use instead.
        """
        is_stream = is_kind(inspect.isasyncgenfunction, fn)
        wrapper: AsyncFunction = self._decorate_stream(fn) if is_stream else self._decorate(fn)
        return wrapper

    @abstractmethod
    def _decorate_stream(self, fn: Any) -> Any:  # noqa: ANN401 - typed where it is called
        """Put an async generator function under this policy."""


class AdmittedStream(Stream):
    """One iteration that a policy has admitted; only its end matters.

    Args:
        leave: Called once, at the end.
    """

    __slots__ = ("_leave",)

    def __init__(self, leave: Callable[[], object]) -> None:
        self._leave = leave

    def ended(self, exc: BaseException | None, *, has_delivered: bool) -> None:  # noqa: ARG002 - however it ended
        """Give back what the iteration held."""
        self._leave()


class AdmittingPolicy(StreamPolicy):
    """A policy that admits a call, or an iteration as a whole, and is released when that ends."""

    __slots__ = ()

    @property
    @abstractmethod
    def may_wait(self) -> bool:
        """Whether a call may wait to be admitted."""

    @abstractmethod
    async def _admit(self) -> Callable[[], object]:
        """Admit one iteration, or raise; return a synchronous function that releases it."""

    def _decorate_stream(self, fn: Any) -> Any:  # noqa: ANN401 - typed where it is called
        async def admit(_args: tuple[Any, ...], _kwargs: dict[str, Any]) -> AdmittedStream:
            return AdmittedStream(await self._admit())

        return self._dress(pump(admit, fn), fn)


def rejections(exc: BaseException) -> list[RejectedError]:
    """Return the rejections that the leaves of an exception are, or were raised from."""
    return [rejection for rejection in map(rejection_of, leaves(exc)) if rejection is not None]


def is_awaitable(result: object) -> bool:
    """Return whether the result of a function has to be awaited; called only if it is no coroutine.

    Raises:
        MisuseError: The result is an async generator.
    """
    if type(result) is AsyncGeneratorType:
        raise MisuseError(
            f"{result!r} is an async generator: call() takes functions that return an awaitable or a value"
        )
    return inspect.isawaitable(result)


def _no_function(policy: Policy, fn: object) -> MisuseError:
    if inspect.iscoroutine(fn):
        fn.close()
    return MisuseError(f"call() takes a function and its arguments, `await {policy.kind}.call(fn, *args)`, not {fn!r}")
