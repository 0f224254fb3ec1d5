"""Breakers inside task groups: rejections in children, cancelled siblings, and deadlines around them."""

import anyio
import pytest
import trio.testing

from recloser import CircuitBreaker, CircuitBreakerOpenError, CircuitState
from recloser.testing import ManualClock
from tests.breaker.kit import Dependency, DependencyError, answer, fail, make, make_open, totals

pytestmark = pytest.mark.anyio


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


async def expired(scope: anyio.CancelScope, clock: ManualClock) -> None:
    """Makes the deadline of a scope pass as soon as all tasks wait, after a second."""
    await anyio.wait_all_tasks_blocked()
    clock.advance(1)
    scope.deadline = -1


async def test_a_rejection_in_one_child_ends_the_group_and_its_siblings(clock: ManualClock) -> None:
    closed, dependency = CircuitBreaker("search"), Dependency()
    opened = await make_open(clock)
    with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012 - a task group is a block
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(closed.call, dependency.call)
            await dependency.called.wait()
            tasks.start_soon(opened.call, answer)
    assert [type(error) for error in caught.value.exceptions] == [CircuitBreakerOpenError]
    assert totals(closed) == {"cancelled": 1}


async def test_a_rejection_that_the_child_handles_leaves_its_siblings_alone(clock: ManualClock) -> None:
    opened, dependency, sibling = await make_open(clock), Dependency(), CircuitBreaker("search")

    async def careful() -> None:
        with pytest.raises(CircuitBreakerOpenError):
            await opened.call(answer)
        dependency.may_end.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sibling.call, dependency.call)
        tasks.start_soon(careful)
    assert (totals(sibling), totals(opened)["rejected"]) == ({"success": 1}, 1)


async def test_except_star_handles_rejections_in_a_group(clock: ManualClock) -> None:
    opened, rejected, failed, start = await make_open(clock), [], [], anyio.Event()

    async def child(breaker: CircuitBreaker, fn: object) -> None:
        await start.wait()
        await breaker.call(fn)

    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(shielded, child, opened, answer)
            tasks.start_soon(shielded, child, make(clock), fail)
            await anyio.wait_all_tasks_blocked()
            start.set()
    except* CircuitBreakerOpenError as group:
        rejected += group.exceptions
    except* DependencyError as group:
        failed += group.exceptions
    assert ([error.name for error in rejected], len(failed)) == (["payments"], 1)


async def shielded(child: object, *args: object) -> None:
    """Shields a child so that it ends by itself although its siblings fail."""
    with anyio.CancelScope(shield=True):
        await child(*args)


async def test_many_rejections_in_one_group_are_errors_of_their_own(clock: ManualClock) -> None:
    opened, start = await make_open(clock), anyio.Event()

    async def child() -> None:
        await start.wait()
        await opened.call(answer)

    with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012 - a task group is a block
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(shielded, child)
            await anyio.wait_all_tasks_blocked()
            start.set()
    errors = caught.value.exceptions
    assert len({id(error) for error in errors}) == len(errors) == 3


async def test_siblings_of_a_failure_that_are_cancelled_are_ignored(clock: ManualClock) -> None:
    breaker = make(clock, failure_threshold=3)
    dependencies = [Dependency() for _ in range(5)]
    with pytest.raises(ExceptionGroup):  # noqa: PT012 - a task group is a block
        async with anyio.create_task_group() as tasks:
            for dependency in dependencies:
                tasks.start_soon(breaker.call, dependency.call)
            for dependency in dependencies:
                await dependency.called.wait()
            tasks.start_soon(breaker.call, fail)
    assert totals(breaker) == {"failure": 1, "cancelled": 5}
    assert breaker.state is CircuitState.CLOSED


async def test_the_calls_of_a_cancelled_group_are_ignored(clock: ManualClock) -> None:
    breaker = make(clock)
    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(breaker.call, Dependency().call)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    assert totals(breaker) == {"cancelled": 5}


async def test_a_deadline_that_ends_all_calls_of_a_group_is_one_failure(clock: ManualClock) -> None:
    breaker = make(clock, failure_threshold=2)
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(breaker.call, Dependency().call)
            await expired(scope, clock)
    assert scope.cancelled_caught
    assert totals(breaker)["failure"] == 1
    assert breaker.state is CircuitState.CLOSED


async def test_a_deadline_of_the_groups_own_scope_is_one_failure_too(clock: ManualClock) -> None:
    breaker = make(clock, failure_threshold=2)
    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(breaker.call, Dependency().call)
        await expired(tasks.cancel_scope, clock)
    assert totals(breaker)["failure"] == 1


@pytest.mark.parametrize(
    "anyio_backend",
    [
        pytest.param("asyncio", id="asyncio"),
        pytest.param(
            ("trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}), id="trio"
        ),  # one instant for all tasks
    ],
)
async def test_a_deadline_counts_once_for_each_breaker_in_the_group(clock: ManualClock) -> None:
    breakers = [make(clock, failure_threshold=2) for _ in range(3)]
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            for breaker in breakers * 2:
                tasks.start_soon(breaker.call, Dependency().call)
            await expired(scope, clock)
    assert [totals(breaker)["failure"] for breaker in breakers] == [1, 1, 1]


async def test_a_group_of_rejections_inside_a_protected_function_is_ignored(clock: ManualClock) -> None:
    inner, outer = await make_open(clock), make(clock)

    async def fan_out() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(inner.call, answer)

    with pytest.raises(ExceptionGroup):
        await outer.call(fan_out)
    assert totals(outer) == {"ignored": 1}


async def test_a_group_with_a_failure_inside_a_protected_function_is_a_failure(clock: ManualClock) -> None:
    outer = make(clock)

    async def fan_out() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(Dependency().call)
            tasks.start_soon(fail)

    with pytest.raises(ExceptionGroup):
        await outer.call(fan_out)
    assert outer.state is CircuitState.OPEN


async def test_exactly_one_child_of_a_group_runs_the_probe(clock: ManualClock) -> None:
    breaker, dependency, rejected = await make_open(clock), Dependency(), []
    clock.advance(60)

    async def child() -> None:
        try:
            await breaker.call(dependency.call)
        except CircuitBreakerOpenError as error:
            rejected.append(error)

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(child)
        await anyio.wait_all_tasks_blocked()
        dependency.may_end.set()
    assert (len(rejected), breaker.state) == (19, CircuitState.CLOSED)
