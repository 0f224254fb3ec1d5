"""Rule 4: time in which our own event loop stood still is nobody's."""

import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import anyio
import httpx
import pytest

from recloser import CircuitBreaker, Pipeline, SlowCallRate, Timeout
from recloser._breaker.loop_watch import BEAT_SECONDS
from recloser._breaker.stalled import stalled_total
from recloser._core.stalls import AFTERMATH_SECONDS
from tests.breaker.kit import BACKENDS, totals
from tests.rules.kit import CLOSED, OPEN, Style, each_style

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", BACKENDS)]

BUDGET_SECONDS = 0.3
STALL_SECONDS = 0.6
CALLS = 10
THRESHOLD = 5

Limited = Callable[[CircuitBreaker, Callable[[], Awaitable[None]]], Awaitable[None]]


@pytest.fixture(autouse=True)
def busy_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tells the stalls of the tests apart from those of a machine that runs other things."""
    monkeypatch.setattr("recloser._breaker.loop_watch.STALL_SECONDS", STALL_SECONDS / 2)


def block(seconds: float = STALL_SECONDS) -> None:
    time.sleep(seconds)


async def work() -> None:
    """Takes several steps, as a request does: to connect, to send, to receive."""
    for _ in range(4):
        await anyio.sleep(0.01)


async def hang() -> None:
    await anyio.sleep_forever()


async def let_a_stall_pass() -> None:
    await anyio.sleep(BEAT_SECONDS + 2 * AFTERMATH_SECONDS)


async def cut_off(breaker: CircuitBreaker, fn: Callable[[], Awaitable[None]]) -> None:
    with anyio.move_on_after(BUDGET_SECONDS):
        await breaker.call(fn)


async def limit_by_client(breaker: CircuitBreaker, fn: Callable[[], Awaitable[None]]) -> None:
    async def client() -> None:
        try:
            with anyio.fail_after(BUDGET_SECONDS):
                await fn()
        except TimeoutError:
            raise httpx.ReadTimeout("slow") from None

    with suppress(httpx.ReadTimeout):
        await breaker.call(client)


async def limit_by_policy(breaker: CircuitBreaker, fn: Callable[[], Awaitable[None]]) -> None:
    with suppress(TimeoutError):
        await Pipeline(breaker, Timeout(BUDGET_SECONDS)).call(fn)


async def limit_by_permit(breaker: CircuitBreaker, fn: Callable[[], Awaitable[None]]) -> None:
    permit = await breaker.acquire()
    try:
        with anyio.fail_after(BUDGET_SECONDS):
            await fn()
    except TimeoutError as exc:
        permit.fail(exc, peer="payments:443")
    else:
        permit.succeed()


each_limit = pytest.mark.parametrize(
    "limited", [cut_off, limit_by_client, limit_by_policy, limit_by_permit], ids=lambda limited: limited.__name__
)


async def warm_up(breaker: CircuitBreaker, limited: Limited) -> None:
    for _ in range(3):
        await limited(breaker, work)


async def several(
    breaker: CircuitBreaker, limited: Limited, fn: Callable[[], Awaitable[None]], *, stalled: bool
) -> None:
    """Makes calls at once, and blocks the event loop once they have begun, if asked to."""
    async with anyio.create_task_group() as tasks:
        for _ in range(CALLS):
            tasks.start_soon(limited, breaker, fn)
        await anyio.sleep(0.005)
        if stalled:
            block()


@each_limit
async def test_rule_4_calls_that_run_out_of_time_by_a_blocked_loop_are_ignored(limited: Limited) -> None:
    breaker = CircuitBreaker("payments", failure_threshold=THRESHOLD)
    await warm_up(breaker, limited)
    await several(breaker, limited, work, stalled=True)
    assert (breaker.state, breaker.health()["failure_total"]) == (CLOSED, 0)
    assert stalled_total(breaker.engine) > 0


@each_limit
async def test_rule_4_calls_that_hang_while_the_loop_runs_are_no_stall(limited: Limited) -> None:
    breaker = CircuitBreaker("payments", failure_threshold=CALLS)
    await warm_up(breaker, limited)
    await several(breaker, limited, hang, stalled=False)
    assert breaker.state is OPEN


@each_limit
async def test_rule_4_calls_that_begin_after_a_stall_count(limited: Limited) -> None:
    breaker = CircuitBreaker("payments", failure_threshold=CALLS + 1)
    await warm_up(breaker, limited)
    block()
    await let_a_stall_pass()
    await several(breaker, limited, hang, stalled=False)
    assert breaker.health()["failure_total"] == CALLS


@each_limit
async def test_rule_4_a_call_that_hangs_on_long_after_a_stall_counts(
    limited: Limited, monkeypatch: pytest.MonkeyPatch
) -> None:
    breaker = CircuitBreaker("payments", failure_threshold=1)
    await warm_up(breaker, limited)
    monkeypatch.setattr(f"{__name__}.BUDGET_SECONDS", 1.0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(limited, breaker, hang)
        await anyio.sleep(0.005)
        block()
    assert breaker.state is OPEN


async def test_rule_4_time_limits_that_run_out_at_once_count_after_a_stall() -> None:
    async def refuse() -> None:
        raise TimeoutError

    breaker = CircuitBreaker("payments", failure_threshold=THRESHOLD)
    await warm_up(breaker, cut_off)
    block()
    await anyio.sleep(0.01)
    for _ in range(THRESHOLD):
        with pytest.raises(TimeoutError):
            await breaker.call(refuse)
    assert breaker.state is OPEN


@each_style
async def test_rule_4_every_style_of_a_call_ignores_what_a_stall_has_ended(style: Style) -> None:
    async def limited() -> None:
        with anyio.fail_after(BUDGET_SECONDS):
            await work()

    async def call() -> None:
        with suppress(TimeoutError):
            await style(breaker, limited)

    breaker = CircuitBreaker("payments", failure_threshold=1)
    await call()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await anyio.sleep(0.005)
        block()
    assert (breaker.state, totals(breaker)["success"]) == (CLOSED, 1)
    assert stalled_total(breaker.engine) == 1


async def test_rule_4_other_errors_count_after_a_stall() -> None:
    async def refuse() -> None:
        await anyio.sleep(0.05)
        raise ConnectionRefusedError

    async def call() -> None:
        with pytest.raises(ConnectionRefusedError):
            await breaker.call(refuse)

    breaker = CircuitBreaker("payments", failure_threshold=1)
    await warm_up(breaker, cut_off)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await anyio.sleep(0.005)
        block()
    assert breaker.state is OPEN


async def test_rule_4_a_call_is_not_slow_by_the_time_in_which_the_loop_stood_still() -> None:
    rule = SlowCallRate(0.5, slow_call_seconds=BUDGET_SECONDS, minimum_calls=5)
    breaker = CircuitBreaker("payments", trip_when=rule)
    for _ in range(2):
        async with anyio.create_task_group() as tasks:
            for _ in range(CALLS):
                tasks.start_soon(breaker.call, work)
            await anyio.sleep(0.005)
            block()
    assert (breaker.state, breaker.health()["slow_call_rate"]) == (CLOSED, 0.0)


async def test_rule_4_a_success_is_not_usually_slow_because_a_stall_has_held_it_up() -> None:
    breaker = CircuitBreaker("payments")
    async with anyio.create_task_group() as tasks:
        for _ in range(CALLS):
            tasks.start_soon(breaker.call, work)
        await anyio.sleep(0.005)
        block()
    slowest = breaker.engine.machine.slowest
    assert slowest is not None
    assert slowest < STALL_SECONDS / 2


async def test_rule_4_a_loop_that_stalls_again_and_again_does_not_hide_a_dependency_that_hangs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("recloser._breaker.stalled.FORGIVEN_IN_A_ROW", 3)
    breaker = CircuitBreaker("payments", failure_threshold=1)
    await warm_up(breaker, limit_by_client)

    async def stall() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(limit_by_client, breaker, hang)
            await anyio.sleep(0.005)
            block()

    for _ in range(3):
        await stall()
    assert breaker.state is CLOSED
    await stall()
    assert breaker.state is OPEN


async def test_rule_4_the_log_says_once_that_it_was_this_process(caplog: pytest.LogCaptureFixture) -> None:
    breakers = [CircuitBreaker(f"payments {number}") for number in range(CALLS)]
    for breaker in breakers:
        await warm_up(breaker, limit_by_client)
    caplog.clear()
    async with anyio.create_task_group() as tasks:
        for breaker in breakers:
            tasks.start_soon(limit_by_client, breaker, work)
        await anyio.sleep(0.005)
        block()
    lines = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(lines) == 1
    assert lines[0].startswith("The event loop stood still for 0.")
    assert "it was this process, not a dependency" in lines[0]
