"""Retry, Hedge, RateLimit and RetryBudget look at what their predicates and clocks return."""

import functools
import logging
from collections.abc import Callable

import pytest

from recloser import Hedge, RateLimit, Retry, RetryBudget
from recloser.testing import ManualClock
from tests.policies.kit import Dependency, DownError

pytestmark = pytest.mark.anyio


async def is_worthwhile(_: object = None) -> bool:
    return True


class IsWorthwhile:
    async def __call__(self, _: object = None) -> bool:
        return True


def is_worthwhile_unawaited(what: object = None) -> object:
    """Looks synchronous, and returns a coroutine."""
    return is_worthwhile(what)


def not_awaited(slot: str) -> str:
    return f"{slot} must be synchronous, but returned a coroutine, which is not awaited"


def faults(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(record.getMessage(), str(record.exc_info[1])) for record in caplog.records if record.exc_info]


@pytest.mark.parametrize(
    "policy",
    [
        Retry(3, on=is_worthwhile_unawaited, name="twice"),
        Hedge(1, on=is_worthwhile_unawaited, name="twice"),
    ],
    ids=["retry", "hedge"],
)
async def test_a_predicate_that_returns_a_coroutine_makes_no_other_attempt(
    policy: Retry | Hedge, caplog: pytest.LogCaptureFixture
) -> None:
    dependency = Dependency(DownError())
    with pytest.raises(DownError):
        await policy.call(dependency.ask)
    assert dependency.calls == 1
    assert faults(caplog) == [("The predicate of 'twice' raised; there is no other attempt", not_awaited("on"))]


@pytest.mark.parametrize("make", [lambda on: Retry(on=on), lambda on: Hedge(1, on=on)], ids=["retry", "hedge"])
@pytest.mark.parametrize(
    "on", [is_worthwhile, IsWorthwhile(), functools.partial(IsWorthwhile())], ids=["function", "object", "partial"]
)
def test_an_asynchronous_predicate_is_refused_when_it_is_given(make: Callable[[object], object], on: object) -> None:
    with pytest.raises(TypeError, match="^on must be a synchronous predicate"):
        make(on)


@pytest.mark.parametrize(
    "make", [lambda clock: RateLimit(1, 1, clock=clock), lambda clock: RetryBudget(clock=clock)], ids=["rate", "budget"]
)
@pytest.mark.parametrize("clock", [is_worthwhile, functools.partial(IsWorthwhile())], ids=["function", "partial"])
def test_an_asynchronous_clock_is_refused_when_it_is_given(make: Callable[[object], object], clock: object) -> None:
    with pytest.raises(TypeError, match="^clock must be a synchronous function that returns monotonic seconds"):
        make(clock)
    with pytest.raises(TypeError, match=not_awaited("clock")):
        make(is_worthwhile_unawaited)


class FailingClock(ManualClock):
    """A clock that can fail by returning a coroutine."""

    fails = False

    def __call__(self) -> float:
        return is_worthwhile() if self.fails else super().__call__()


async def test_while_the_clock_of_a_rate_limit_returns_coroutines_its_time_stands_still(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.ERROR, "recloser")
    clock = FailingClock()
    limit = RateLimit(2, 1, name="mail", clock=clock)
    clock.fails = True
    assert [await limit.call(str, number) for number in range(2)] == ["0", "1"]
    assert faults(caplog) == [("The clock of rate limit 'mail' failed; its last reading is used", not_awaited("clock"))]


def test_while_the_clock_of_a_retry_budget_returns_coroutines_its_time_stands_still(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = FailingClock()
    budget = RetryBudget(0, burst=2, clock=clock)
    clock.fails = True
    assert [budget.withdraw() for _ in range(3)] == [True, True, False]
    assert faults(caplog) == [("The clock of a retry budget failed; its last reading is used", not_awaited("clock"))]
