import httpx
import pytest

from recloser import CircuitBreaker
from recloser.cli.demo.lane import FAULTS, AnswerSource, Call, Lane, Order, ProtectedLane
from recloser.cli.demo.upstream import GENERATION_HEADER
from recloser.testing import ManualClock
from tests.cli.demo.stage import HEALTHY, script

pytestmark = pytest.mark.anyio

SERVICE, MEMORY, DEFAULT, FAILURE = AnswerSource
TTL_SECONDS = script(HEALTHY).memory_ttl_seconds


async def order(number: int) -> Order:
    return {"order": str(number)}


async def refused(number: int) -> Order:
    raise httpx.ConnectError(f"{number} refused")


class Protected:
    """A lane whose breaker opens for good after one failure."""

    def __init__(self) -> None:
        self.clock = ManualClock(10.0)
        self.breaker = CircuitBreaker(
            failure_threshold=1, reset_timeout_seconds=1000, expected_exception=FAULTS, clock=self.clock
        )
        self.lane = ProtectedLane("protected", clock=self.clock, breaker=self.breaker, plan=script(HEALTHY))

    @property
    def outcomes(self) -> list[AnswerSource]:
        return [call.outcome for call in self.lane.calls]


@pytest.fixture
def protected() -> Protected:
    return Protected()


async def test_a_caller_s_record_says_what_it_got_when_and_how_long_it_waited() -> None:
    clock = ManualClock(10.0)
    lane = Lane("bare", clock=clock)

    async def slow(_: int) -> Order:
        clock.advance(2.0)
        raise httpx.ReadTimeout("too slow")

    await lane.attempt(order, 1)
    await lane.attempt(slow, 1)
    assert lane.calls == [Call(10.0, SERVICE, 0.0), Call(12.0, FAILURE, 2.0)]
    assert lane.counts == {SERVICE: 1, FAILURE: 1}
    assert lane.lost_seconds == 2.0


async def test_what_the_breaker_rejects_is_answered_from_memory_with_its_age(protected: Protected) -> None:
    await protected.lane.attempt(order, 1)
    await protected.lane.attempt(refused, 1)
    protected.clock.advance(0.25)
    await protected.lane.attempt(refused, 1)
    assert protected.outcomes == [SERVICE, FAILURE, MEMORY]
    assert protected.lane.calls[-1] == Call(10.25, MEMORY, 0.0, age_seconds=0.25)


async def test_an_order_that_is_too_old_is_answered_by_default(protected: Protected) -> None:
    await protected.lane.attempt(order, 1)
    await protected.lane.attempt(refused, 1)
    protected.clock.advance(TTL_SECONDS)
    await protected.lane.attempt(refused, 1)
    assert protected.outcomes == [SERVICE, FAILURE, DEFAULT]


async def test_an_order_that_was_never_fetched_is_answered_by_default(protected: Protected) -> None:
    await protected.lane.attempt(order, 1)
    await protected.lane.attempt(refused, 1)
    await protected.lane.attempt(refused, 2)
    assert protected.outcomes == [SERVICE, FAILURE, DEFAULT]


async def test_a_failure_that_the_breaker_counts_reaches_its_caller_though_the_order_is_known(
    protected: Protected,
) -> None:
    await protected.lane.attempt(order, 1)
    await protected.lane.attempt(refused, 1)
    assert protected.outcomes == [SERVICE, FAILURE]


async def test_only_the_protected_lane_s_requests_bear_the_breaker_s_generation(protected: Protected) -> None:
    sent = list[dict[str, str]]()

    async def fetch(number: int) -> Order:
        sent.append(protected.lane.headers)
        return await order(number)

    await protected.lane.attempt(fetch, 1)
    assert sent == [{GENERATION_HEADER: str(protected.breaker.generation)}]
    assert Lane("bare", clock=protected.clock).headers == {}


async def test_a_lane_s_answers_come_from_its_sources_only() -> None:
    assert Lane.sources == (SERVICE,)
    assert ProtectedLane.sources == (SERVICE, MEMORY, DEFAULT)


@pytest.mark.parametrize("lane", [Lane("bare", clock=ManualClock()), Protected().lane], ids=["bare", "protected"])
async def test_an_error_that_is_not_the_upstream_s_is_not_swallowed(lane: Lane) -> None:
    async def broken(_: int) -> Order:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await lane.attempt(broken, 1)
    assert lane.calls == []
