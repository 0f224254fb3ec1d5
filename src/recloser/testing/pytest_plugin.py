"""The pytest plugin: fixtures for tests of protected code, each made anew for each test.

It is loaded by itself where recloser is installed; `-p no:recloser` leaves it out. Without the installation,
`pytest_plugins = ["recloser.testing.pytest_plugin"]` in the topmost conftest.py loads it.
"""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from recloser.testing import (
    Exploration,
    FaultPlan,
    ManualClock,
    RecordingListener,
    ScheduleError,
    Step,
    Succeed,
)
from recloser.testing import explore as explore_schedules

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from recloser import CircuitBreaker
    from recloser.testing import Schedule

SCHEDULES = 1000


class MakesFaultPlans(Protocol):
    """What the fixture `fault_plan` is."""

    def __call__(
        self,
        *script: Step,
        then: Step = ...,
        clock: Callable[[], float] | None = None,
        seed: int = 0,
    ) -> FaultPlan:
        """Make a plan, on the test's `manual_clock` unless another clock is given."""
        ...


class Records(Protocol):
    """What the fixture `recorded` is."""

    def __call__(self, *breakers: CircuitBreaker) -> RecordingListener:
        """Return a listener that is told the events of these breakers, until the end of the test."""
        ...


class Explores(Protocol):
    """What the fixture `explore` is."""

    def __call__(
        self,
        scenario: Callable[[Schedule], Coroutine[Any, Any, object]],
        *,
        schedules: int | None = None,
        seed: int = 0,
        max_steps: int = 100_000,
    ) -> Exploration:
        """Play a scenario under many schedules, or, with `--recloser-seed`, under one of them."""
        ...


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the fixture `explore`."""
    group = parser.getgroup("recloser", "schedule exploration (recloser)")
    group.addoption(
        "--recloser-schedules",
        type=_count,
        default=None,
        metavar="N",
        help=f"how many schedules the fixture `explore` plays where the test does not say, at least 1 ({SCHEDULES})",
    )
    group.addoption(
        "--recloser-seed",
        type=int,
        default=None,
        metavar="SEED",
        help="play only the schedule with this seed, which the error of a broken schedule names",
    )


def _count(text: str) -> int:
    """Read the value of an option that says how many: none would pass any test."""
    if text.strip().isdecimal() and (count := int(text)) >= 1:
        return count
    raise argparse.ArgumentTypeError(f"must be an integer >= 1, not {text!r}")


@pytest.fixture
def manual_clock() -> ManualClock:
    """A clock at 0 that stands still until the test moves it."""
    return ManualClock()


@pytest.fixture
def fault_plan(manual_clock: ManualClock) -> MakesFaultPlans:
    """Make a `FaultPlan`; its clock is `manual_clock`, so that slow calls move it and nothing sleeps."""

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
    """Record the events of the breakers that it is called with, until the end of the test."""
    with ExitStack() as subscriptions:

        def record(*breakers: CircuitBreaker) -> RecordingListener:
            listener = RecordingListener()
            for breaker in breakers:
                subscriptions.callback(breaker.subscribe(listener))
            return listener

        yield record


@pytest.fixture
def explore(request: pytest.FixtureRequest) -> Explores:
    """Play a scenario under many random schedules; for tests that are not async."""
    chosen: int | None = request.config.getoption("--recloser-seed")
    told: int | None = request.config.getoption("--recloser-schedules")
    usual = SCHEDULES if told is None else told

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
