"""The pytest plugin: fixtures for tests of protected code, all of function scope.

pytest loads it automatically if recloser is installed; `-p no:recloser` disables it. If recloser is only on the path,
`pytest_plugins = ["recloser.testing.pytest_plugin"]` in the top-level conftest.py loads it.
"""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from recloser.testing import FaultPlan, ManualClock, RecordingListener, Step, Succeed
from recloser.testing.explorer import Exploration, ScheduleError
from recloser.testing.explorer import explore as explore_schedules

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from recloser import CircuitBreaker
    from recloser.testing.explorer import Schedule

__all__ = ["Explores", "MakesFaultPlans", "Records"]

SCHEDULES = 1000


class MakesFaultPlans(Protocol):
    """The type of the fixture `fault_plan`."""

    def __call__(
        self,
        *script: Step,
        then: Step = ...,
        clock: Callable[[], float] | None = None,
        seed: int = 0,
    ) -> FaultPlan:
        """Create a plan, with the `manual_clock` of the test unless another clock is given."""
        ...


class Records(Protocol):
    """The type of the fixture `recorded`."""

    def __call__(self, *breakers: CircuitBreaker) -> RecordingListener:
        """Return a listener that records the events of these breakers until the end of the test."""
        ...


class Explores(Protocol):
    """The type of the fixture `explore`."""

    def __call__(
        self,
        scenario: Callable[[Schedule], Coroutine[Any, Any, object]],
        *,
        schedules: int | None = None,
        seed: int = 0,
        max_steps: int = 100_000,
    ) -> Exploration:
        """Run a scenario under many schedules, or under a single one with `--recloser-seed`."""
        ...


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the fixture `explore`."""
    group = parser.getgroup("recloser", "schedule exploration (recloser)")
    group.addoption(
        "--recloser-schedules",
        type=_count,
        default=None,
        metavar="N",
        help=f"number of schedules that the fixture `explore` runs by default, at least 1 (default: {SCHEDULES})",
    )
    group.addoption(
        "--recloser-seed",
        type=int,
        default=None,
        metavar="SEED",
        help="run only the schedule with this seed; the error of a failed schedule shows its seed",
    )


def _count(text: str) -> int:
    """Parse a number of schedules, >= 1: with none, each test would pass."""
    if text.strip().isdecimal() and (count := int(text)) >= 1:
        return count
    raise argparse.ArgumentTypeError(f"must be an integer >= 1, not {text!r}")


@pytest.fixture
def manual_clock() -> ManualClock:
    """A clock at 0 that stands still until the test moves it."""
    return ManualClock()


@pytest.fixture
def fault_plan(manual_clock: ManualClock) -> MakesFaultPlans:
    """Create a `FaultPlan` with `manual_clock`, so that slow calls move the clock and nothing sleeps."""

    def make(
        *script: Step,
        then: Step = Succeed(),  # noqa: B008 - a frozen value
        clock: Callable[[], float] | None = None,
        seed: int = 0,
    ) -> FaultPlan:
        return FaultPlan(*script, then=then, clock=manual_clock if clock is None else clock, seed=seed)

    return make


@pytest.fixture
def recorded() -> Iterator[Records]:
    """Record the events of breakers until the end of the test."""
    with ExitStack() as subscriptions:

        def record(*breakers: CircuitBreaker) -> RecordingListener:
            listener = RecordingListener()
            for breaker in breakers:
                subscriptions.callback(breaker.subscribe(listener))
            return listener

        yield record


@pytest.fixture
def explore(request: pytest.FixtureRequest) -> Explores:
    """Run a scenario under many random schedules; for tests that are not async."""
    chosen: int | None = request.config.getoption("--recloser-seed")
    given: int | None = request.config.getoption("--recloser-schedules")
    usual = SCHEDULES if given is None else given

    def play(
        scenario: Callable[[Schedule], Coroutine[Any, Any, object]],
        *,
        schedules: int | None = None,
        seed: int = 0,
        max_steps: int = 100_000,
    ) -> Exploration:
        if chosen is not None:
            return explore_schedules(scenario, schedules=1, seed=chosen, max_steps=max_steps)
        count = usual if schedules is None else schedules
        try:
            return explore_schedules(scenario, schedules=count, seed=seed, max_steps=max_steps)
        except ScheduleError as error:
            error.add_note(f"play it again: pytest '{request.node.nodeid}' --recloser-seed={error.seed}")
            raise

    return play
