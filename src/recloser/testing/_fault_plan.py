"""A dependency that behaves as the test says."""

from __future__ import annotations

import functools
import inspect
import time
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, ParamSpec, TypeVar, overload

import anyio
import anyio.lowlevel

from recloser.errors import MisuseError
from recloser.lowlevel import slots
from recloser.testing._clock import ManualClock
from recloser.testing._steps import UNSET, Chance, During, Fail, Hang, Slow, Step, Succeed, check_step

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

P = ParamSpec("P")
T = TypeVar("T")


class PlannedCall(NamedTuple):
    """A call to a fault plan.

    Attributes:
        number: The number of the call, from 1.
        step: The step of the plan that it took.
        args: Its arguments.
        kwargs: Its keyword arguments.
    """

    number: int
    step: Step
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class FaultPlan:
    """A scripted dependency: it succeeds, fails, hangs or is slow, by call number, by time, or by chance from a seed.

    Each call takes the next step of the script, in the order in which the calls begin. After the script has ended, each
    call takes the step `then`. Await the plan itself, or `wrap()` the function that should fail.

    >>> import anyio
    >>> plan = FaultPlan(Fail(ConnectionError), then=Succeed("answer"))
    >>> try:
    ...     anyio.run(plan)
    ... except ConnectionError:
    ...     anyio.run(plan)
    'answer'

    Args:
        *script: The steps of the first calls.
        then: The step of all later calls.
        clock: Returns seconds, for `During` and `Slow`; None means `time.monotonic`. `Slow` moves a `ManualClock`; with
            any other clock it sleeps, on the time of the event loop.
        seed: The seed of `Chance`.

    Raises:
        TypeError: An argument is no step, or the clock is not callable.
    """

    def __init__(
        self,
        *script: Step,
        then: Step = Succeed(),  # noqa: B008 - a frozen value
        clock: Callable[[], float] | None = None,
        seed: int = 0,
    ) -> None:
        for position, step in enumerate(script, 1):
            check_step(f"step {position}", step)
        check_step("then", then)
        clock = time.monotonic if clock is None else clock
        if not callable(clock):
            raise TypeError(f"clock must be a function that returns seconds, not {clock!r}")
        slots.check_synchronous("clock", clock, "function that returns seconds")
        self._script = [step for step in script for _ in range(step.times)]
        self._then = then
        self._clock = clock
        self._made_at = slots.checked("clock", clock())
        self._random = Random(seed)
        self._calls: list[PlannedCall] = []

    @property
    def calls(self) -> tuple[PlannedCall, ...]:
        """The calls that have begun, in order, however they ended."""
        return tuple(self._calls)

    @property
    def call_count(self) -> int:
        """How many calls have begun."""
        return len(self._calls)

    @property
    def ended(self) -> bool:
        """Whether the script has ended, so that the next call takes `then`."""
        return len(self._calls) >= len(self._script)

    def __repr__(self) -> str:
        """Return the number of calls and the length of the script."""
        return f"<FaultPlan: {len(self._calls)} calls, script of {len(self._script)}>"

    async def __call__(self, *args: object, **kwargs: object) -> Any:  # noqa: ANN401 - a step decides
        """Take the next step; a success without a result returns None.

        Raises:
            BaseException: The error of a `Fail` step.
        """
        return await self._play(self._next(args, kwargs), _nothing, args, kwargs)

    @overload
    def wrap(self, fn: Callable[P, Awaitable[T]], /) -> Callable[P, Coroutine[Any, Any, T]]: ...
    @overload
    def wrap(self, fn: Callable[P, T], /) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def wrap(self, fn: Callable[..., Any], /) -> Callable[..., Coroutine[Any, Any, Any]]:
        """Return an async function that takes a step with each call, and calls `fn` if the step succeeds.

        Several functions may be wrapped; their calls share the script.

        Args:
            fn: A function that returns an awaitable or, as a fake may, any other value.

        Raises:
            TypeError: `fn` is not callable, or is an async generator function.
        """
        if not callable(fn):
            raise TypeError(f"a fault plan wraps functions, not {fn!r}")
        if slots.is_kind(inspect.isasyncgenfunction, fn):
            raise _many_answers(fn)

        async def disturbed(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the signature is the function's
            return await self._play(self._next(args, kwargs), fn, args, kwargs)

        return functools.update_wrapper(disturbed, fn)

    def _next(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Step:
        step = self._then if self.ended else self._script[len(self._calls)]
        self._calls.append(PlannedCall(len(self._calls) + 1, step, args, kwargs))
        return step

    async def _play(self, step: Step, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401 - a step decides
        while not isinstance(step, Succeed):
            if isinstance(step, Fail):
                _raise(step.error)
            elif isinstance(step, Hang):
                await anyio.sleep_forever()
            elif isinstance(step, Slow):
                await self._pass(step.seconds)
                step = step.then
            else:
                step = step.step if self._is_first(step) else step.otherwise
        return await _answer(fn, args, kwargs) if step.result is UNSET else step.result

    def _is_first(self, step: Chance | During) -> bool:
        if isinstance(step, Chance):
            return self._random.random() < step.rate
        return step.start_seconds <= slots.checked("clock", self._clock()) - self._made_at < step.end_seconds

    async def _pass(self, seconds: float) -> None:
        if isinstance(self._clock, ManualClock):
            self._clock.advance(seconds)
            await anyio.lowlevel.checkpoint()
        else:
            await anyio.sleep(seconds)


def _nothing(*_: object, **__: object) -> None:
    """Return None, in place of a function that was not given."""


async def _answer(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401 - fn's
    result = fn(*args, **kwargs)
    if inspect.isasyncgen(result):
        raise _many_answers(fn)
    return await result if inspect.isawaitable(result) else result


def _many_answers(fn: object) -> MisuseError:
    return MisuseError(
        f"a fault plan wraps functions that return one answer, not the async generator function {fn!r}: "
        "await the plan itself inside a generator of the test"
    )


def _raise(error: BaseException | type[BaseException]) -> NoReturn:
    if isinstance(error, type):
        raise error
    raise error.with_traceback(None)  # otherwise it would grow with each call
