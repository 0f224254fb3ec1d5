"""Rule 9: a rejection is cheap and keeps nothing."""

import gc
import sys
import traceback

import pytest

from recloser import (
    CircuitBreaker,
    CircuitBreakerOpenError,
    CircuitState,
)
from recloser.testing import ManualClock
from tests.breaker.kit import (
    RESET_SECONDS,
    DependencyError,
    answer,
    make,
    make_open,
    totals,
)
from tests.rules.kit import HALF_OPEN, OPEN, STYLES, Style, each_style

pytestmark = pytest.mark.anyio


async def rejections_of(breaker: CircuitBreaker, style: Style) -> list[CircuitBreakerOpenError]:
    rejections = []
    for _ in range(2):
        with pytest.raises(CircuitBreakerOpenError) as caught:
            await style(breaker, answer)
        rejections.append(caught.value)
    return rejections


@each_style
@pytest.mark.parametrize("state", [OPEN, HALF_OPEN, CircuitState.FORCED_OPEN], ids=str)
async def test_rule_9_each_rejection_is_a_new_exception_with_nothing_chained(
    clock: ManualClock, style: Style, state: CircuitState
) -> None:
    breaker, permit = await make_open(clock), None
    if state is CircuitState.FORCED_OPEN:
        breaker.force_open("maintenance")
    elif state is HALF_OPEN:
        clock.advance(RESET_SECONDS)
        permit = await breaker.acquire()
    one, other = await rejections_of(breaker, style)
    assert one is not other
    for rejection in (one, other):
        assert rejection.state is state
        assert (rejection.__cause__, rejection.__context__) == (None, None)
    if permit is not None:
        permit.ignore()


@each_style
async def test_rule_9_a_rejection_refers_to_no_frame_of_an_earlier_call(clock: ManualClock, style: Style) -> None:
    class Payload:
        pass

    async def fail_with(payload: Payload) -> None:
        raise DependencyError(payload)

    breaker, payload = make(clock), Payload()
    with pytest.raises(DependencyError):
        await style(breaker, fail_with, payload)
    rejections = await rejections_of(breaker, style)
    gc.collect()
    held = sys.getrefcount(payload)
    assert len(rejections) == 2
    assert held == 2
    frames = traceback.extract_tb(rejections[1].__traceback__)
    assert "fail_with" not in {frame.name for frame in frames}


async def test_rule_9_a_rejection_while_another_exception_is_handled_is_chained_by_python_alone(
    clock: ManualClock,
) -> None:
    breaker, first = await make_open(clock), LookupError()
    try:
        raise first
    except LookupError:
        with pytest.raises(CircuitBreakerOpenError) as caught:
            await breaker.call(answer)
    assert (caught.value.__context__, caught.value.__cause__) == (first, None)


async def test_rule_9_rejections_are_counted(clock: ManualClock) -> None:
    breaker = await make_open(clock)
    for style in STYLES:
        await rejections_of(breaker, style)
    assert await breaker.try_acquire() is None
    assert breaker.try_acquire_nowait() is None
    assert totals(breaker) == {"failure": 1, "rejected": 2 * len(STYLES) + 2}
