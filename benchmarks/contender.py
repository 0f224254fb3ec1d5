"""The common interface of all breakers in the run: create one, protect a function, reject calls.

A library has one contender for each set of trip rules that it is measured with.
"""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

from benchmarks.harness import BenchmarkError

Work = Callable[[int], Coroutine[Any, Any, int]]

NEVER = 1_000_000_000
"""A failure threshold that is never reached."""

LONG_SECONDS = 3600.0
"""A reset timeout that never elapses during a run."""

TRIP_AFTER = 5


IN_A_ROW = "failures in a row"
COUNT = "failure rate, count window"
COUNT_SLOW = "failure rate or slow calls, count window"
TIME = "failure rate, time window"
TIME_SLOW = "failure rate or slow calls, time window"

WINDOW_CALLS = 100
WINDOW_SECONDS = 60
BUCKETS = 10
SLOW_SECONDS = 5.0
SLOW_RATE = 0.5


class Make(Protocol):
    """Creates a breaker."""

    def __call__(self, name: str, *, failure_threshold: int, reset_timeout_seconds: float) -> Any:  # noqa: ANN401 - of any library
        """Returns a closed breaker.

        Args:
            name: Unique in the run.
            failure_threshold: The number of failures in a row that open it. With a rate, all calls in the window have
                to fail, and this is the smallest number of calls, but not more than the window has.
            reset_timeout_seconds: How long it stays open.
        """


@dataclass(frozen=True, slots=True)
class Contender:
    """A breaker of some library.

    Args:
        distribution: The library's name in the package index.
        make: Creates one breaker.
        protect: Puts a breaker around a coroutine function, as its documentation does.
        rejection: The exception that an open breaker raises.
        rules: The trip rules that are switched on, by the names of this module.
        does: What it does on each call, for the table.
        bound_to_function: Whether a breaker only exists as a part of the function that it protects.
    """

    distribution: str
    make: Make
    protect: Callable[[Any, Work], Work]
    rejection: type[Exception]
    rules: str = IN_A_ROW
    does: str = ""
    bound_to_function: bool = False

    @property
    def name(self) -> str:
        """The name in the tables: unique in the run."""
        return f"{self.distribution} ({self.rules})"


async def work(value: int) -> int:
    """Returns immediately."""
    return value


async def broken(value: int) -> int:
    """Fails immediately."""
    raise ConnectionError(value)


async def either(value: int) -> int:
    """Returns immediately, or fails immediately if the value is 0."""
    if value:
        return value
    raise ConnectionError(value)


class Dependency:
    """A dependency that can be switched between healthy and broken, and counts what reaches it."""

    def __init__(self) -> None:
        """Starts healthy."""
        self.healthy = True
        self.reached = 0

    def function(self) -> Work:
        """Returns the coroutine function that a client would protect."""

        async def ask(value: int) -> int:
            self.reached += 1
            if not self.healthy:
                raise ConnectionError(value)
            return value

        return ask


def minimum_calls(failure_threshold: int) -> int:
    """Returns the smallest number of calls of a rate over a window of calls."""
    return min(failure_threshold, WINDOW_CALLS)


async def trip(contender: Contender, protected: Work, dependency: Dependency) -> None:
    """Opens the breaker around a function by failing calls.

    Args:
        contender: Whose breaker it is.
        protected: The function; its breaker has the threshold `TRIP_AFTER`.
        dependency: The dependency that it calls.

    Raises:
        BenchmarkError: The breaker does not open.
    """
    dependency.healthy = False
    for _ in range(TRIP_AFTER):
        try:
            await protected(1)
        except (ConnectionError, contender.rejection):
            continue
    reached = dependency.reached
    try:
        await protected(1)
    except contender.rejection:
        if dependency.reached == reached:
            dependency.healthy = True
            return
    except ConnectionError:
        pass
    raise BenchmarkError(f"{contender.name}: still admits after {TRIP_AFTER} failures")
