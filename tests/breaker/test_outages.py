"""An outage is one thing: the breaker, its events, its log and its health tell it from closed to closed."""

import json
import logging
from datetime import UTC, datetime

import pytest
import time_machine

from recloser import CircuitBreakerOpenError, StateChanged
from recloser.registry import OutageHealth
from recloser.testing import ManualClock
from tests.breaker.kit import DependencyError, answer, fail, fail_once, make, make_open

pytestmark = pytest.mark.anyio
NOON = datetime(2030, 1, 2, 12, tzinfo=UTC)


async def test_an_outage_is_told_as_a_whole_after_failed_probes(clock: ManualClock) -> None:
    with time_machine.travel(NOON, tick=False):
        breaker = await make_open(clock)
    for error in (TimeoutError("too slow"), DependencyError("down"), TimeoutError("too slow")):
        with pytest.raises(CircuitBreakerOpenError):
            await breaker.call(answer)
        clock.advance(60)
        with pytest.raises(type(error)):
            await breaker.call(fail, error)
    clock.advance(5)
    outage = breaker.outage
    assert outage is not None
    assert (outage.since, outage.seconds, outage.rejected, outage.probes_failed) == (NOON, 185, 3, 3)
    assert outage.errors == (("DependencyError", 2), ("TimeoutError", 2))
    assert breaker.explain() == (
        "Circuit breaker 'payments' is open for 185.0 s: 1 consecutive failure (threshold 1); "
        "last error TimeoutError: too slow (attempt 4); 3 probes failed; "
        "errors so far: 2 x DependencyError, 2 x TimeoutError; 3 calls rejected; a probe may go through in 55.0 s."
    )
    assert breaker.health()["opened_at"] == NOON.isoformat()


async def test_events_and_the_log_tell_how_an_outage_went_when_it_ends(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "recloser")
    breaker, events = make(clock), []
    breaker.subscribe(events.append, kinds=StateChanged)
    await fail_once(breaker)
    clock.advance(60)
    await fail_once(breaker)
    with pytest.raises(CircuitBreakerOpenError):
        await breaker.call(answer)
    clock.advance(60)
    await breaker.call(answer)
    lasted = [None if event.outage is None else event.outage.seconds for event in events]
    assert lasted == [0, 60, 60, 120, 120]
    assert [event.outage.ended_by is None for event in events] == [True, True, True, True, False]
    assert (breaker.outage, breaker.outages) == (None, (events[-1].outage,))
    assert caplog.messages[2].endswith(
        "a probe failed; last error DependencyError: down; the outage has lasted 60.0 s and began with: "
        "1 consecutive failure (threshold 1); 1 probe failed; errors so far: 2 x DependencyError"
    )
    assert caplog.messages[-1].endswith(
        "1 of 1 probe succeeded; the outage lasted 120.0 s; 1 probe failed; errors so far: 2 x DependencyError; "
        "1 call rejected"
    )
    fields = events[-1].fields()
    assert (fields["outage_seconds"], fields["outage_rejections"], fields["outage_failed_probes"]) == (120, 1, 1)


async def test_health_has_the_outage_and_the_latest_ones_ready_for_json(clock: ManualClock) -> None:
    breaker = await make_open(clock)
    breaker.reset("repaired")
    await fail_once(breaker)
    health = breaker.health()
    now, [ended] = health["outage"], health["outages"]
    assert now is not None
    assert set(now) == set(ended) == OutageHealth.__annotations__.keys()
    assert (now["ended_by"], ended["ended_by"]) == (None, "reset")
    assert (now["errors"], now["cause"]["trigger"]) == ({"DependencyError": 1}, "tripped")
    assert json.loads(json.dumps(health, allow_nan=False)) == health


async def test_an_outage_in_shadow_mode_counts_what_was_let_through(clock: ManualClock) -> None:
    breaker = await make_open(clock, shadow=True)
    await breaker.call(answer)
    outage = breaker.outage
    assert outage is not None
    assert (outage.rejected, outage.would_reject, str(outage)) == (0, 1, "1 call let through")


async def test_new_settings_leave_an_outage_as_it_is(clock: ManualClock) -> None:
    breaker = await make_open(clock)
    before = breaker.outage
    breaker.reconfigure(failure_threshold=7, reset_timeout_seconds=5)
    assert breaker.outage == before


async def test_a_half_open_breaker_says_since_when_it_has_not_been_closed(clock: ManualClock) -> None:
    breaker = await make_open(clock)
    clock.advance(60)
    permit = await breaker.acquire()
    tail = "; the outage has lasted 60.0 s and began with: 1 consecutive failure (threshold 1)."
    assert breaker.explain().endswith(tail)
    permit.ignore()
