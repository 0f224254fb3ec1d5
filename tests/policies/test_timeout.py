"""`Timeout`: a call that takes too long is cancelled and fails."""

import asyncio
import copy
import pickle

import anyio
import pytest

from recloser import CallTimeoutError, CircuitState, RecloserError, Timeout
from tests.policies.kit import Dependency, breaker, totals

pytestmark = pytest.mark.anyio


async def test_a_call_in_time_returns_its_result() -> None:
    assert await Timeout(2).call(Dependency("answer", seconds=1).ask) == "answer"


async def test_a_call_that_is_too_slow_is_cancelled_when_its_time_is_over() -> None:
    dependency = Dependency(seconds=60)
    started = anyio.current_time()
    with pytest.raises(CallTimeoutError, match="Timeout 'slow': the call did not end within 2.5 s"):
        await Timeout(2.5, name="slow").call(dependency.ask)
    assert anyio.current_time() - started == pytest.approx(2.5)
    assert dependency.running == 0


async def test_its_error_is_a_timeout_error_and_tells_name_and_seconds() -> None:
    with pytest.raises(TimeoutError) as caught:
        await Timeout(1, name="slow").call(anyio.sleep, 5)
    assert isinstance(caught.value, RecloserError)
    assert (caught.value.name, caught.value.seconds) == ("slow", 1.0)
    assert caught.value.__cause__ is caught.value.__context__ is None


async def test_a_timeout_error_of_the_function_passes_untouched() -> None:
    own = TimeoutError("mine")
    with pytest.raises(TimeoutError) as caught:
        await Timeout(1).call(Dependency(own).ask)
    assert caught.value is own


async def test_a_timeout_within_a_timeout_is_told_by_its_own_name() -> None:
    inner, outer = Timeout(1, name="inner"), Timeout(5, name="outer")
    with pytest.raises(CallTimeoutError) as caught:
        await outer.call(inner.call, anyio.sleep, 60)
    assert caught.value.name == "inner"


async def test_the_deadline_of_a_scope_around_it_passes_untouched() -> None:
    with pytest.raises(TimeoutError) as caught, anyio.fail_after(1):
        await Timeout(5).call(anyio.sleep, 60)
    assert not isinstance(caught.value, CallTimeoutError)


async def test_a_result_that_comes_after_the_deadline_is_not_lost() -> None:
    async def shielded() -> str:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(5)
        return "late"

    assert await Timeout(1).call(shielded) == "late"


async def test_an_error_that_comes_after_the_deadline_is_the_functions_own() -> None:
    async def stubborn() -> None:
        try:
            await anyio.sleep(60)
        finally:
            raise LookupError("own")

    with pytest.raises(LookupError, match="own"):
        await Timeout(1).call(stubborn)


async def test_a_breaker_around_it_counts_one_failure() -> None:
    circuit = breaker(failure_threshold=2)
    with pytest.raises(CallTimeoutError):
        await circuit.call(Timeout(1).call, anyio.sleep, 60)
    assert totals(circuit) == [(1, 0, 0)]


async def test_a_breaker_inside_counts_one_failure() -> None:
    circuit = breaker(failure_threshold=2)
    with pytest.raises(CallTimeoutError):
        await Timeout(1).call(circuit.call, anyio.sleep, 60)
    assert totals(circuit) == [(1, 0, 0)]


async def test_breakers_on_both_sides_count_one_failure_each() -> None:
    outer, inner = breaker(), breaker()
    with pytest.raises(CallTimeoutError):
        await outer.call(Timeout(1).call, inner.call, anyio.sleep, 60)
    assert totals(outer, inner) == [(1, 0, 0), (1, 0, 0)]
    assert outer.state is inner.state is CircuitState.OPEN


async def test_a_cancelled_call_is_cancelled_and_no_timeout() -> None:
    circuit = breaker()
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(circuit.call, Timeout(5).call, anyio.sleep, 60)
            await anyio.wait_all_tasks_blocked()
            scope.cancel()
    assert totals(circuit) == [(0, 0, 1)]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_task_that_is_cancelled_stays_cancelled() -> None:
    task = asyncio.create_task(Timeout(60).call(asyncio.sleep, 60))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_its_error_survives_pickling_and_copying() -> None:
    error = CallTimeoutError("slow", 1.5)
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error)):  # noqa: S301 - our own bytes
        assert (type(other), str(other), other.name, other.seconds) == (CallTimeoutError, str(error), "slow", 1.5)


@pytest.mark.parametrize(("seconds", "error"), [("2", TypeError), (0, ValueError), (-1, ValueError)])
async def test_seconds_that_are_no_duration_are_refused(seconds: object, error: type[Exception]) -> None:
    with pytest.raises(error, match="seconds must be a finite number of seconds > 0"):
        Timeout(seconds)
