"""The first sign of life settles a probe; what remains of its call belongs to the generation that follows."""

import gc
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing

import anyio
import pytest

from recloser import CircuitBreaker, CircuitState, CountWindow, ExponentialBackoff, Permit, SlowCallRate, StateChanged
from recloser.testing import ManualClock
from tests.breaker.kit import DependencyError, answer, drop, fail_once, make, make_probing, make_ready, totals

pytestmark = pytest.mark.anyio

CLOSED, OPEN, HALF_OPEN = CircuitState.CLOSED, CircuitState.OPEN, CircuitState.HALF_OPEN
SESSION_SECONDS = 600
HOUR = 3600


async def test_progress_closes_the_breaker_and_gives_the_permit_back_at_once(clock: ManualClock) -> None:
    breaker, permit = await make_probing(clock)
    permit.progress()
    assert breaker.state is CLOSED
    assert breaker.health()["probes_in_flight"] == 0
    assert await breaker.call(answer) == "answer"
    permit.succeed()


@pytest.mark.parametrize(
    ("end", "counted"),
    [
        ("succeed", {"success": 2, "failure": 1, "probe": 1}),
        ("fail", {"success": 1, "failure": 2, "probe": 1}),
        ("ignore", {"success": 1, "failure": 1, "ignored": 1, "probe": 1}),
    ],
)
async def test_the_rest_of_the_call_is_a_call_of_the_closed_breaker(
    clock: ManualClock, end: str, counted: dict[str, int]
) -> None:
    breaker, permit = await make_probing(clock)
    permit.progress()
    getattr(permit, end)()
    assert totals(breaker) == counted
    assert breaker.state is (OPEN if end == "fail" else CLOSED)
    permit.fail()
    assert totals(breaker) == counted


async def test_progress_once_more_changes_nothing(clock: ManualClock) -> None:
    breaker, permit = await make_probing(clock)
    for _ in range(3):
        permit.progress()
    assert totals(breaker) == {"success": 1, "failure": 1, "probe": 1}
    permit.succeed()
    permit.progress()
    assert totals(breaker) == {"success": 2, "failure": 1, "probe": 1}


async def test_with_more_successes_to_come_it_is_settled_for_good(clock: ManualClock) -> None:
    breaker, permit = await make_probing(clock, success_threshold=2)
    permit.progress()
    assert (breaker.state, breaker.health()["probes_in_flight"]) == (HALF_OPEN, 0)
    second = await breaker.acquire()
    assert second.is_probe
    permit.fail(DependencyError("broken off"))
    second.progress()
    assert breaker.state is CLOSED
    assert totals(breaker) == {"success": 2, "failure": 1, "probe": 2}
    second.succeed()


async def test_a_slow_first_sign_of_life_is_a_slow_probe(clock: ManualClock) -> None:
    rule = SlowCallRate(1.0, slow_call_seconds=1, window=CountWindow(5), minimum_calls=1)
    breaker = make(clock, trip_when=rule, failure_threshold=None)
    breaker.force_open("drill", for_seconds=1)
    clock.advance(1)
    permit = await breaker.acquire()
    clock.advance(2)
    permit.progress()
    assert breaker.state is OPEN
    permit.succeed()
    assert totals(breaker) == {"success": 1, "probe": 1}


async def test_progress_of_a_probe_that_ran_out_of_time_closes_the_breaker(clock: ManualClock) -> None:
    breaker, permit = await make_probing(clock)
    clock.advance(60)
    assert await breaker.try_acquire() is None
    assert breaker.state is OPEN
    permit.progress()
    assert breaker.state is CLOSED
    assert "a probe that had run out of time succeeded after all" in breaker.explain()
    permit.fail()
    assert totals(breaker) == {"failure": 3, "late": 1, "probe": 1, "rejected": 1}


async def test_progress_of_a_probe_that_no_longer_matters_leaves_it_to_its_end(clock: ManualClock) -> None:
    breaker, permit = await make_probing(clock)
    breaker.reset()
    permit.progress()
    assert totals(breaker) == {"failure": 1, "probe": 1}
    permit.succeed()
    assert totals(breaker) == {"failure": 1, "late": 1, "probe": 1}


async def test_a_permit_keeps_what_it_was_admitted_as(clock: ManualClock) -> None:
    _, permit = await make_probing(clock)
    before = (permit.is_probe, permit.generation)
    permit.progress()
    assert (permit.is_probe, permit.generation) == before == (True, 3)
    permit.succeed()


async def test_a_call_that_was_dropped_after_its_first_sign_of_life_is_leaked(clock: ManualClock) -> None:
    breaker, permit = await make_probing(clock)
    permit.progress()
    permits = [permit]
    del permit
    with pytest.warns(ResourceWarning, match="dropped without"):
        drop(permits)
    assert totals(breaker) == {"success": 1, "failure": 1, "leaked": 1, "probe": 1}
    assert breaker.state is CLOSED


async def test_a_call_that_was_settled_for_good_may_be_dropped(clock: ManualClock) -> None:
    breaker, permit = await make_probing(clock, success_threshold=2)
    permit.progress()
    del permit
    gc.collect()  # warnings are errors
    assert totals(breaker) == {"success": 1, "failure": 1, "probe": 1}


async def test_a_guard_goes_on_like_a_permit(clock: ManualClock) -> None:
    breaker = await make_ready(clock)
    guard = breaker.guard()

    async def broken_session() -> None:
        async with guard as permit:
            permit.progress()
            assert breaker.state is CLOSED
            raise DependencyError

    with pytest.raises(DependencyError):
        await broken_session()
    assert breaker.state is OPEN
    assert totals(breaker) == {"success": 1, "failure": 2, "probe": 1}
    clock.advance(60)
    async with guard as permit:
        permit.progress()
    assert totals(breaker) == {"success": 3, "failure": 2, "probe": 2}
    async with guard as permit:
        permit.progress()
        assert not permit.is_probe
    assert totals(breaker) == {"success": 4, "failure": 2, "probe": 2}


async def test_a_guard_that_is_dropped_after_its_first_sign_of_life_is_leaked(clock: ManualClock) -> None:
    breaker = await make_ready(clock)
    stack = AsyncExitStack()
    (await stack.enter_async_context(breaker.guard())).progress()
    callbacks = [stack.pop_all()]
    with pytest.warns(ResourceWarning, match="dropped without"):
        drop(callbacks)
    assert totals(breaker) == {"success": 1, "failure": 1, "leaked": 1, "probe": 1}


async def test_an_interrupt_in_a_listener_leaves_no_permit_behind(clock: ManualClock) -> None:
    breaker, permit = await make_probing(clock, success_threshold=2)

    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    unsubscribe = breaker.subscribe(interrupt)
    with pytest.raises(KeyboardInterrupt):
        permit.progress()
    unsubscribe()
    permit.fail()
    assert (breaker.state, breaker.health()["probes_in_flight"]) == (HALF_OPEN, 0)
    await breaker.call(answer)
    assert breaker.state is CLOSED


async def test_what_a_listener_does_meanwhile_makes_the_rest_late(clock: ManualClock) -> None:
    breaker, permit = await make_probing(clock)

    def open_again(event: StateChanged) -> None:
        if event.new is CLOSED:
            breaker.force_open("not yet")

    breaker.subscribe(open_again, kinds=(StateChanged,))
    permit.progress()
    assert breaker.state is CircuitState.FORCED_OPEN
    permit.fail()
    assert totals(breaker)["late"] == 1
    assert breaker.state is CircuitState.FORCED_OPEN


async def test_a_cancelled_call_is_ignored_after_its_first_sign_of_life_too(clock: ManualClock) -> None:
    breaker = await make_ready(clock)

    async def session() -> None:
        async with breaker.guard() as permit:
            permit.progress()
            await anyio.sleep_forever()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(session)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    assert breaker.state is CLOSED
    assert totals(breaker) == {"success": 1, "failure": 1, "cancelled": 1, "probe": 1}


async def test_who_waits_is_woken_by_the_first_sign_of_life(clock: ManualClock) -> None:
    breaker, permit = await make_probing(clock, success_threshold=2)
    ready: list[bool] = []

    async def wait() -> None:
        ready.append(await breaker.wait_until_ready())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        assert ready == []
        permit.progress()
    assert ready == [True]


class TestTheLog:
    def hints(self, caplog: pytest.LogCaptureFixture) -> list[str]:
        return [one.getMessage() for one in caplog.records if "probe_timeout_seconds" in one.getMessage()]

    async def overrun(self, breaker: CircuitBreaker, clock: ManualClock) -> Permit:
        permit = await breaker.acquire()
        clock.advance(60)
        assert await breaker.try_acquire() is None
        return permit

    async def test_says_once_what_to_set_or_call_when_an_expiry_was_wrong(
        self, clock: ManualClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        breaker = await make_ready(clock)
        permit = await self.overrun(breaker, clock)
        assert self.hints(caplog) == []
        clock.advance(5)
        permit.succeed()
        hint = (
            "Circuit breaker 'payments' counted a probe as a failure after 60 s, and it succeeded after 65 s. If calls "
            "may take that long, set probe_timeout_seconds to more, or call permit.progress() at the first sign that "
            "one works"
        )
        assert self.hints(caplog) == [hint]
        assert caplog.records[-1].levelno == logging.WARNING
        await fail_once(breaker)
        clock.advance(60)
        (await self.overrun(breaker, clock)).succeed()
        assert len(self.hints(caplog)) == 1

    async def test_says_nothing_of_one_that_failed(self, clock: ManualClock, caplog: pytest.LogCaptureFixture) -> None:
        breaker = await make_ready(clock)
        (await self.overrun(breaker, clock)).fail()
        assert self.hints(caplog) == []


class TestSessionsOfTenMinutes:
    """A healthy dependency after a short outage: a session begins every 5 s, for an hour."""

    async def hour(self, clock: ManualClock, *, reports: bool, reset: object) -> tuple[CircuitBreaker, list[bool]]:
        breaker = CircuitBreaker("sessions", failure_threshold=1, reset_timeout_seconds=reset, clock=clock)
        (await breaker.acquire()).fail(OSError("a short outage"))
        running: list[tuple[int, Permit]] = []
        admitted = []
        for second in range(0, HOUR, 5):
            while running and running[0][0] <= second:
                running.pop(0)[1].succeed()
            permit = await breaker.try_acquire()
            admitted.append(permit is not None)
            if permit is not None:
                running.append((second + SESSION_SECONDS, permit))
                if reports:
                    permit.progress()
            clock.advance(5)
        for _, permit in running:
            permit.ignore()
        return breaker, admitted

    async def test_that_report_their_first_sign_of_life_are_rejected_for_one_reset_timeout(
        self, clock: ManualClock
    ) -> None:
        breaker, admitted = await self.hour(clock, reports=True, reset=30)
        assert breaker.state is CLOSED
        assert admitted.count(False) == 6

    @pytest.mark.parametrize(
        "reset", [10, 30, 60, 200, ExponentialBackoff(initial_seconds=1, maximum_seconds=300, jitter=0)]
    )
    async def test_that_report_nothing_are_admitted_again_when_the_first_has_ended(
        self, clock: ManualClock, reset: object
    ) -> None:
        breaker, admitted = await self.hour(clock, reports=False, reset=reset)
        assert breaker.state is CLOSED
        assert all(admitted[2 * SESSION_SECONDS // 5 :])

    async def test_as_streams_are_rejected_for_one_reset_timeout(self, clock: ManualClock) -> None:
        breaker = await make_ready(clock)

        @breaker
        async def session() -> AsyncIterator[int]:
            for number in range(SESSION_SECONDS):
                yield number
                clock.advance(1)

        async with aclosing(session()) as first:
            await anext(first)
            async with aclosing(session()) as second:
                assert [number async for number in second] == list(range(SESSION_SECONDS))
            assert await anext(first) == 1
        assert breaker.state is CLOSED
