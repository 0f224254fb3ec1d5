"""The order of policies: what each order that the pipeline warns of does, next to the one that it advises.

The figures of an order come from running it. So a warning that is not true, or an advice that does not help, fails.
"""

import math
import warnings
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import anyio
import pytest

from recloser import (
    Bulkhead,
    CircuitBreaker,
    CircuitState,
    Hedge,
    Pipeline,
    RateLimit,
    RejectedError,
    Retry,
    RetryBudget,
    Timeout,
)
from recloser.errors import BulkheadFullError, ConfigurationWarning, RateLimitedError
from tests.policies.kit import Dependency, DownError, in_usual_order

pytestmark = pytest.mark.anyio

CALL_SECONDS = 0.05
DEADLINE_SECONDS = 0.21
"""No multiple of the seconds of a call: no call ends in the instant of a deadline."""


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, object]]:
    """The order of callbacks is not drawn at random, so the figures are exact."""
    return in_usual_order(request.param)


class Instead:
    """Stands in for a fallback: answers "instead" when anything failed."""

    kind = "fallback"

    async def call(self, fn: Callable[..., Awaitable[object]], /, *args: object, **kwargs: object) -> object:
        try:
            return await fn(*args, **kwargs)
        except Exception:  # noqa: BLE001 - a fallback for everything
            return "instead"


MAKE: dict[str, Callable[[], object]] = {
    "fallback": Instead,
    "retry": lambda: Retry(3, 0, budget=None),
    "retry in 1 s": lambda: Retry(2, 1.0, budget=None),
    "hedge": lambda: Hedge(1, budget=None),
    "hedge once": lambda: Hedge(1, budget=RetryBudget(0, minimum_per_second=0, burst=1)),
    "bulkhead": lambda: Bulkhead(2, max_queue=100),
    "small bulkhead": lambda: Bulkhead(2),
    "bulkhead of 1": lambda: Bulkhead(1),
    "rate limit": lambda: RateLimit(2, 0.062, max_wait_seconds=60, clock=anyio.current_time),
    "strict limit": lambda: RateLimit(10, 600, clock=anyio.current_time),
    "breaker": lambda: CircuitBreaker("orders", failure_threshold=5, clock=anyio.current_time),
    "timeout": lambda: Timeout(DEADLINE_SECONDS),
    "timeout of 50 ms": lambda: Timeout(0.05),
    "timeout of 1.07 s": lambda: Timeout(1.07),
}


def ordered(order: str) -> tuple[Pipeline, list[str]]:
    """Makes the pipeline that an order describes; returns it, and what it warns of without the reasons.

    A policy that the order names twice is the same object twice, except for retries and timeouts.
    """
    names = order.split(" > ")
    one_each = {name: MAKE[name]() for name in names}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pipeline = Pipeline(*(MAKE[name]() if name in {"retry", "timeout"} else one_each[name] for name in names))
    assert all(each.category is ConfigurationWarning for each in caught)
    return pipeline, [str(each.message).partition(":")[0] for each in caught]


def breaker_of(pipeline: Pipeline) -> CircuitBreaker:
    return next(policy for policy in pipeline.policies if isinstance(policy, CircuitBreaker))


@dataclass
class Crowd:
    """What became of calls that came at the same time."""

    answered: int = 0
    failed: int = 0
    rejected: int = 0
    reached: int = 0
    reached_after_opening: int = 0

    async def come(self, pipeline: Pipeline, calls: int, dependency: Dependency) -> "Crowd":
        breakers = [policy for policy in pipeline.policies if isinstance(policy, CircuitBreaker)]

        async def ask() -> object:
            self.reached += 1
            self.reached_after_opening += any(breaker.state is CircuitState.OPEN for breaker in breakers)
            return await dependency.ask()

        async def caller() -> None:
            try:
                answer = await pipeline.call(ask)
                self.answered += answer == "answer"
            except RejectedError:
                self.rejected += 1
            except Exception:  # noqa: BLE001 - counted, whatever it is
                self.failed += 1

        async with anyio.create_task_group() as tasks:
            for _ in range(calls):
                tasks.start_soon(caller)
        return self


async def healthy(pipeline: Pipeline) -> Crowd:
    """30 callers of a dependency that answers each call after 50 ms."""
    return await Crowd().come(pipeline, 30, Dependency(seconds=CALL_SECONDS))


async def dead(pipeline: Pipeline) -> Crowd:
    """60 callers of a dependency that fails each call after 50 ms."""
    return await Crowd().come(pipeline, 60, Dependency(DownError(), seconds=CALL_SECONDS))


QUEUE_IN_BREAKER = "bulkhead with a queue inside breaker"
QUEUE_IN_TIMEOUT = "bulkhead with a queue inside timeout"
WAIT_IN_BREAKER = "rate_limit that waits inside breaker"
WAIT_IN_TIMEOUT = "rate_limit that waits inside timeout"

# order, what is warned of; of 30 healthy calls: answered, failed, rejected; of 60 dead ones: reached, after opening
CROWDED = [
    ("fallback > retry > bulkhead > breaker > timeout", [], (30, 0, 0), (6, 0)),
    ("fallback > retry > rate limit > breaker > timeout", [], (30, 0, 0), (6, 0)),
    ("fallback > retry > bulkhead > rate limit > breaker > timeout", [], (30, 0, 0), (6, 0)),
    ("retry > bulkhead > breaker > timeout", [], (30, 0, 0), (6, 0)),
    ("bulkhead > breaker > timeout", [], (30, 0, 0), (6, 0)),
    ("rate limit > breaker > timeout", [], (30, 0, 0), (6, 0)),
    ("breaker > timeout > bulkhead", [QUEUE_IN_BREAKER, QUEUE_IN_TIMEOUT], (8, 22, 0), (10, 4)),
    ("breaker > bulkhead > timeout", [QUEUE_IN_BREAKER], (30, 0, 0), (60, 54)),
    ("timeout > bulkhead > breaker", [QUEUE_IN_TIMEOUT, "timeout outside breaker"], (8, 22, 0), (6, 0)),
    ("breaker > timeout > rate limit", [WAIT_IN_BREAKER, WAIT_IN_TIMEOUT], (7, 23, 0), (8, 2)),
    ("breaker > rate limit > timeout", [WAIT_IN_BREAKER], (30, 0, 0), (60, 54)),
    ("timeout > rate limit > breaker", [WAIT_IN_TIMEOUT, "timeout outside breaker"], (7, 23, 0), (6, 0)),
    # Without a wait, the place of a bulkhead or a rate limit makes no difference.
    ("small bulkhead > breaker > timeout", [], (2, 0, 28), (2, 0)),
    ("breaker > timeout > small bulkhead", [], (2, 0, 28), (2, 0)),
    ("strict limit > breaker > timeout", [], (10, 0, 20), (10, 0)),
    ("breaker > timeout > strict limit", [], (10, 0, 20), (10, 0)),
    # A deadline for all that a call does, in addition to one for each attempt, is deliberate.
    ("timeout of 1.07 s > retry > bulkhead > breaker > timeout", [], (30, 0, 0), (6, 0)),
]


@pytest.mark.parametrize(("order", "warned", "of_healthy", "of_dead"), CROWDED, ids=[row[0] for row in CROWDED])
async def test_what_an_order_makes_of_a_healthy_and_of_a_dead_dependency(
    order: str, warned: Sequence[str], of_healthy: tuple[int, int, int], of_dead: tuple[int, int]
) -> None:
    pipeline, heads = ordered(order)
    assert heads == sorted(warned)
    up = await healthy(pipeline)
    down = await dead(ordered(order)[0])
    assert (up.answered, up.failed, up.rejected) == of_healthy
    assert (down.reached, down.reached_after_opening) == of_dead


async def test_calls_that_time_out_in_a_queue_open_the_breaker_of_a_healthy_dependency() -> None:
    warned, advised = ordered("breaker > timeout > bulkhead")[0], ordered("bulkhead > breaker > timeout")[0]
    await healthy(warned)
    await healthy(advised)
    assert (breaker_of(warned).state, breaker_of(advised).state) == (CircuitState.OPEN, CircuitState.CLOSED)


async def test_calls_in_a_queue_inside_the_breaker_all_reach_a_dependency_that_refuses_them_at_once() -> None:
    warned, advised = ordered("breaker > timeout > bulkhead")[0], ordered("bulkhead > breaker > timeout")[0]
    of_warned = await Crowd().come(warned, 60, Dependency(DownError()))
    of_advised = await Crowd().come(advised, 60, Dependency(DownError()))
    assert (of_warned.reached, of_warned.reached_after_opening) == (60, 54)
    assert (of_advised.reached, of_advised.reached_after_opening) == (6, 0)


async def call_by_call(pipeline: Pipeline, dependency: Dependency, calls: int = 60) -> list[object]:
    """Makes calls one after the other and returns what each one returned or raised."""
    ends: list[object] = []
    for _ in range(calls):
        try:
            ends.append(await pipeline.call(dependency.ask))
        except Exception as error:  # noqa: BLE001 - whatever it is
            ends.append(type(error))
    return ends


async def reaching_dead(pipeline: Pipeline) -> int:
    """How many calls reach a dead dependency, of 60 one after the other."""
    dependency = Dependency(DownError())
    await call_by_call(pipeline, dependency)
    return dependency.calls


async def reaching_dead_at_once(pipeline: Pipeline) -> int:
    """How many calls reach a dead dependency, of 60 at the same time."""
    return (await Crowd().come(pipeline, 60, Dependency(DownError()))).reached


async def real_answers(pipeline: Pipeline) -> int:
    """How many of 30 calls get the dependency's own answer, if each first attempt fails."""
    dependency = Dependency(*[DownError(), "answer"] * 30)
    return (await call_by_call(pipeline, dependency, 30)).count("answer")


async def answers_of_a_hanging_dependency(pipeline: Pipeline) -> int:
    """How many of 10 calls get any answer, if the dependency hangs."""
    return (await call_by_call(pipeline, Dependency(seconds=math.inf), 10)).count("instead")


async def rejected_while_others_wait(pipeline: Pipeline) -> int:
    """How many of two calls are rejected while two others wait for their next attempt."""
    dependency = Dependency(DownError(), DownError(), "answer")
    rejected = 0
    async with anyio.create_task_group() as tasks:
        for _ in range(2):
            tasks.start_soon(pipeline.call, dependency.ask)
        await anyio.sleep(0.5)
        for _ in range(2):
            try:
                await pipeline.call(dependency.ask)
            except (BulkheadFullError, RateLimitedError):
                rejected += 1
    return rejected


async def noticed_hangs(pipeline: Pipeline) -> int:
    """How many of 10 calls the breaker counts as failed, if the dependency has hung from the first one on."""
    await call_by_call(pipeline, Dependency(seconds=math.inf), 10)
    return breaker_of(pipeline).health()["failure_total"]


async def counted_successes(pipeline: Pipeline) -> int:
    """How many successes the breaker counts for one call."""
    await call_by_call(pipeline, Dependency("answer"), 1)
    return breaker_of(pipeline).health()["success_total"]


async def hidden_failures(pipeline: Pipeline) -> int:
    """How many of three failed attempts the breaker does not count, if each is followed by a success."""
    seen: list[int] = []
    dependency = Dependency(*[DownError(), "answer"] * 3)
    for _ in range(3):
        await pipeline.call(dependency.ask)
        seen.append(breaker_of(pipeline).health()["failure_total"])
    return 3 - seen[-1]


PAIRS = [
    ("breaker > retry", "retry > breaker", reaching_dead, 15, 5),
    ("breaker > retry", "retry > breaker", hidden_failures, 3, 0),
    ("breaker > fallback", "fallback > breaker", reaching_dead, 60, 5),
    ("retry > fallback", "fallback > retry", real_answers, 15, 30),
    (
        "small bulkhead > retry in 1 s",
        "retry in 1 s > small bulkhead",
        rejected_while_others_wait,
        2,
        0,
    ),
    ("strict limit > retry", "retry > strict limit", reaching_dead_at_once, 30, 10),
    ("retry > retry", "retry", reaching_dead, 540, 180),
    ("breaker > hedge", "hedge > breaker", reaching_dead, 10, 5),
    ("breaker > hedge", "hedge > breaker", hidden_failures, 3, 0),
    ("timeout > fallback", "fallback > timeout", answers_of_a_hanging_dependency, 0, 10),
    ("hedge once > retry", "retry > hedge once", reaching_dead, 183, 181),
    ("timeout of 50 ms > breaker", "breaker > timeout of 50 ms", noticed_hangs, 0, 5),
    ("breaker > breaker", "breaker", counted_successes, 2, 1),
    ("bulkhead of 1 > bulkhead of 1", "bulkhead of 1", real_answers, 0, 15),
]


@pytest.mark.parametrize(
    ("warned", "advised", "measure", "figure", "advised_figure"),
    PAIRS,
    ids=[f"{pair[0]}, {pair[2].__name__}" for pair in PAIRS],
)
async def test_an_order_that_is_warned_of_does_harm_that_the_advised_one_does_not(
    warned: str, advised: str, measure: Callable[[Pipeline], Awaitable[int]], figure: int, advised_figure: int
) -> None:
    wrong, heads = ordered(warned)
    assert len(heads) == 1
    right, none = ordered(advised)
    assert none == []
    assert (await measure(wrong), await measure(right)) == (figure, advised_figure)
