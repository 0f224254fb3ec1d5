"""The types that users see: each line must be accepted by mypy --strict and by pyright strict."""

# pyright: strict

from collections.abc import AsyncGenerator
from functools import partial
from random import Random
from typing import assert_type

from recloser import (
    BreakerRegistry,
    CircuitBreaker,
    CircuitBreakerOpenError,
    CircuitState,
    ConsecutiveFailures,
    CountWindow,
    Event,
    ExponentialBackoff,
    FailureRate,
    Permit,
    StateChanged,
)
from recloser.events import CallRejected, Outage, ShadowOutcome, Snapshot
from recloser.registry import (
    BreakerHealth,
    CauseHealth,
    EventLoopHealth,
    Finding,
    OutageHealth,
    RegistryHealth,
    ShadowHealth,
)
from recloser.testing import Fail, FaultPlan, ManualClock, RecordingListener, Succeed, open_breaker
from recloser.testing.explorer import Schedule
from recloser.testing.pytest_plugin import Explores, MakesFaultPlans, Records

breaker = CircuitBreaker("payments", failure_threshold=5, reset_timeout_seconds=60)
registry = BreakerRegistry(max_breakers=100, failure_threshold=5, reset_timeout_seconds=ExponentialBackoff())

CircuitBreaker()
CircuitBreaker(failure_threshold=5, reset_timeout_seconds=60, expected_exception=Exception)
CircuitBreaker("types", expected_exception=(OSError, TimeoutError), ignored_exception=KeyError)
CircuitBreaker("predicates", expected_exception=lambda error: "down" in str(error), failed_result=lambda _: False)
CircuitBreaker("rules", trip_when=ConsecutiveFailures(5) | FailureRate(0.5, window=CountWindow(100), minimum_calls=20))
CircuitBreaker("backoff", reset_timeout_seconds=ExponentialBackoff(initial_seconds=1, jitter=0.1), random=Random(7))
CircuitBreaker("probes", success_threshold=2, max_probes=2, probe_timeout_seconds=1.5)
CircuitBreaker("rest", overdue_after_seconds=10, shadow=True, clock=lambda: 0.0)


@breaker
async def charge(amount: int, *, currency: str = "EUR") -> str:
    return f"{amount} {currency}"


@breaker
async def pages(count: int) -> AsyncGenerator[bytes, None]:
    for _ in range(count):
        yield b""


def account_of(account: str, **_: object) -> str:
    return account


@registry.per_key("accounts", key=account_of, max_probes=2)
async def balance(account: str, *, overdraft: int = 0) -> int:
    return len(account) + overdraft


@registry.per_key("accounts", key=account_of)
async def statements(account: str) -> AsyncGenerator[str, None]:
    yield account


class Client:
    @breaker
    async def fetch(self, key: str) -> bytes:
        return key.encode()

    async def head(self, key: str) -> bytes:
        return key.encode()


async def refund(amount: int) -> float:
    return -float(amount)


def total(amounts: list[int]) -> int:
    return sum(amounts)


async def decorated() -> None:
    assert_type(await charge(7), str)
    assert_type(await charge(amount=7, currency="SEK"), str)
    assert_type(await Client().fetch("key"), bytes)
    async for page in pages(3):
        assert_type(page, bytes)


async def called() -> None:
    assert_type(await breaker.call(refund, 7), float)
    assert_type(await breaker.call(refund, amount=7), float)
    assert_type(await breaker.call(total, [7]), int)
    assert_type(await breaker.call(lambda: refund(7)), float)
    assert_type(await breaker.call(partial(refund, 7)), float)
    assert_type(await breaker.call(Client().head, "key"), bytes)
    assert_type(await breaker.call_in_thread(total, [7]), int)


async def permits() -> None:
    async with breaker.guard() as guarded:
        held: Permit = guarded
    held.ignore()
    permit = await breaker.acquire()
    assert_type(permit, Permit)
    assert_type(permit.is_probe, bool)
    assert_type(permit.generation, int)
    with permit:
        pass
    permit.succeed()
    permit.fail()
    permit.fail(OSError(), reset_timeout_seconds=30)
    permit.progress()
    assert_type(permit.resume(permit.pause()), float | None)
    permit.ignore()
    assert_type(await breaker.try_acquire(), Permit | None)
    assert_type(breaker.try_acquire_nowait(), Permit | None)


async def control() -> None:
    breaker.force_open("maintenance", for_seconds=60)
    breaker.disable()
    breaker.reset()
    breaker.reconfigure(failure_threshold=7)
    assert_type(await breaker.wait_until_ready(), bool)
    assert_type(await breaker.wait_until_ready(timeout_seconds=1), bool)


def on_event(event: Event) -> None: ...


def on_change(event: StateChanged) -> None: ...


def on_change_or_rejection(event: StateChanged | CallRejected) -> None: ...


async def observed() -> None:
    unsubscribe = breaker.subscribe(lambda event: print(event.breaker))
    unsubscribe()
    breaker.subscribe(on_event)
    breaker.subscribe(on_event, kinds=(StateChanged, CallRejected))
    breaker.subscribe(on_change, kinds=StateChanged)
    breaker.subscribe(on_change_or_rejection, kinds=(StateChanged, CallRejected))
    breaker.subscribe(on_change)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] - it takes no others
    async with breaker.events(max_buffer=16, kinds=StateChanged) as stream:
        async for event in stream:
            assert_type(event, StateChanged)
    async with breaker.events() as every, registry.events(kinds=StateChanged) as changes:
        assert_type(await anext(every), Event)
        assert_type(await anext(changes), StateChanged)


def read() -> None:
    assert_type(breaker.name, str)
    assert_type(breaker.state, CircuitState)
    assert_type(breaker.get_state(), str)
    assert_type(breaker.failure_count, int)
    assert_type(breaker.retry_after, float | None)
    assert_type(breaker.explain(), str)
    assert_type(breaker.snapshot(), Snapshot)


def read_health() -> None:
    health = assert_type(registry.health(), RegistryHealth)
    assert_type(health["version"], int)
    assert_type(health["timestamp"], str)
    assert_type(health["event_loops"], EventLoopHealth)
    assert_type(health["event_loops"]["lag_seconds"], float)
    payments = assert_type(health["breakers"]["payments"], BreakerHealth)
    assert_type(breaker.health(), BreakerHealth)
    assert_type(payments["state"], str)
    assert_type(payments["failure_count"], int)
    assert_type(payments["threshold"], float)
    assert_type(payments["cause"], CauseHealth | None)
    assert_type(payments["shadow"], ShadowHealth | None)
    assert_type(payments["outage"], OutageHealth | None)
    assert_type(breaker.outage, Outage | None)
    assert_type(breaker.outages, tuple[Outage, ...])
    payments["failures"]  # type: ignore[typeddict-item]  # pyright: ignore - there is no such key


async def registered() -> None:
    assert_type(registry.breaker("payments", trip_when=FailureRate(0.5), expected_exception=OSError), CircuitBreaker)
    assert_type(registry.get("payments"), CircuitBreaker | None)
    assert_type(registry.add(breaker), CircuitBreaker)
    assert_type(list(registry), list[CircuitBreaker])
    assert_type(await balance("ada", overdraft=7), int)
    async for statement in statements("ada"):
        assert_type(statement, str)
    registry.reconfigure("payments", failure_threshold=7)
    registry.reconfigure(shadow=True)
    async with registry.events() as stream:
        assert_type(await anext(stream), Event)
    registry.subscribe(print)()
    registry.subscribe(on_change, kinds=StateChanged)()
    registry.events(kinds=(StateChanged, CallRejected))
    registry.subscribe(lambda event: print(event.outcome), ShadowOutcome)
    for finding in assert_type(registry.lint(), list[Finding]):
        assert_type(finding.value, float)
    assert_type(BreakerRegistry.from_config({"defaults": {}}), BreakerRegistry)


async def rejected() -> None:
    try:
        await charge(7)
    except CircuitBreakerOpenError as error:
        assert_type(error.name, str)
        assert_type(error.state, CircuitState)
        assert_type(error.retry_after, float | None)
        assert_type(error.failure_count, int)
        assert_type(error.last_error, str | None)


async def tested(manual_clock: ManualClock, fault_plan: MakesFaultPlans, recorded: Records, explore: Explores) -> None:
    plan = assert_type(fault_plan(Fail(OSError), then=Succeed(1), clock=manual_clock), FaultPlan)
    assert_type(await plan.wrap(charge)(7), str)
    assert_type(await plan.wrap(len)("seven"), int)
    assert_type(recorded(breaker), RecordingListener)
    await open_breaker(breaker, error=ConnectionError)
    await open_breaker(breaker, error=ConnectionError("down"))
    explore(explored, schedules=10)


async def explored(schedule: Schedule) -> None:
    schedule.note("begun")
