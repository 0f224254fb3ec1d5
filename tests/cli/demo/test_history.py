import pytest

from recloser import CircuitBreaker, CircuitState
from recloser.cli.demo.history import HalfOpenPeriod, History
from recloser.testing import ManualClock

pytestmark = pytest.mark.anyio


async def fail() -> None:
    raise OSError("refused")


async def succeed() -> None:
    pass


class Watched:
    """A breaker that opens for 10 s after one failure, at second 100, and its history."""

    def __init__(self) -> None:
        self.clock = ManualClock(100.0)
        self.breaker = CircuitBreaker(failure_threshold=1, reset_timeout_seconds=10, clock=self.clock)
        self.history = History()
        self.breaker.subscribe(self.history)

    async def fail(self) -> None:
        with pytest.raises(OSError, match="refused"):
            await self.breaker.call(fail)

    async def succeed(self) -> None:
        await self.breaker.call(succeed)


@pytest.fixture
def watched() -> Watched:
    return Watched()


async def test_each_episode_has_the_generation_of_the_calls_that_it_let_through(watched: Watched) -> None:
    generations: list[int] = []

    async def probe() -> None:
        generations.append(watched.breaker.generation)
        if watched.clock() < 120.0:
            raise OSError("refused")

    await watched.succeed()
    await watched.fail()
    watched.clock.set(110.0)
    with pytest.raises(OSError, match="refused"):
        await watched.breaker.call(probe)
    watched.clock.set(120.0)
    await watched.breaker.call(probe)
    await watched.succeed()
    assert watched.history.episodes == [HalfOpenPeriod(110.0, generations[0]), HalfOpenPeriod(120.0, generations[1])]


async def test_an_episode_that_lasts_has_no_generation_yet(watched: Watched) -> None:
    await watched.fail()
    watched.clock.set(110.0)
    permit = await watched.breaker.acquire()
    assert watched.history.episodes == [HalfOpenPeriod(110.0)]
    permit.succeed()
    assert watched.history.episodes == [HalfOpenPeriod(110.0, permit.generation)]


async def test_the_state_at_a_time_is_the_last_one_entered_by_then(watched: Watched) -> None:
    await watched.fail()
    watched.clock.set(110.0)
    await watched.succeed()
    states = [watched.history.state_at(at) for at in (0.0, 99.9, 100.0, 109.9, 110.0, 1000.0)]
    closed, opened = CircuitState.CLOSED, CircuitState.OPEN
    assert states == [closed, closed, opened, opened, closed, closed]


async def test_the_first_time_in_a_state_may_be_the_time_asked_about_or_later_or_never(watched: Watched) -> None:
    await watched.fail()
    watched.clock.set(110.0)
    await watched.succeed()
    first = watched.history.first
    assert first(CircuitState.CLOSED, since=50.0) == 50.0
    assert first(CircuitState.OPEN, since=50.0) == 100.0
    assert first(CircuitState.CLOSED, since=105.0) == 110.0
    assert first(CircuitState.OPEN, since=110.0) is None
