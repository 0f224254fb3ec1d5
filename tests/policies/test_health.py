"""`health()` of the policies: each call is counted once, however it ends."""

import json
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable

import anyio
import pytest

from recloser import Bulkhead, Hedge, RateLimit, Retry, RetryBudget
from recloser._policies.policy import Policy
from recloser.errors import BulkheadFullError, MisuseError, RateLimitedError
from recloser.testing import ManualClock
from recloser.testing.explorer import Schedule, explore
from tests.policies.kit import Dependency, DownError

pytestmark = pytest.mark.anyio

RETRY = ["succeeded_first", "succeeded_retried", "failed", "exhausted", "retries", "budget_refused"]
BULKHEAD = ["admitted", "rejected"]
RATE_LIMIT = ["admitted", "delayed", "rejected"]
HEDGE = ["calls", "hedges", "won_by_hedge", "failed"]
ALL = {Retry: RETRY, Bulkhead: BULKHEAD, RateLimit: RATE_LIMIT, Hedge: HEDGE}


def counts(policy: Policy) -> dict[str, int]:
    """Returns the counts that are not 0, by their names without `_total`."""
    health = policy.health()
    return {name: health[f"{name}_total"] for name in ALL[type(policy)] if health[f"{name}_total"]}


async def ends(policy: Policy, fn: Callable[..., object]) -> BaseException | None:
    """Makes a call, and returns what it raises."""
    try:
        await policy.call(fn)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - whatever it is
        return error
    return None


@pytest.mark.parametrize(
    ("policy", "others"),
    [
        (Retry(name="p"), {}),
        (Bulkhead(3, 2, name="p"), {"max_concurrent": 3, "max_queue": 2, "running": 0, "waiting": 0}),
        (RateLimit(5, 1, name="p"), {}),
        (Hedge(5, name="p"), {}),
    ],
    ids=lambda value: getattr(value, "kind", None),
)
async def test_health_of_a_new_policy_is_json_ready(policy: Policy, others: dict[str, int]) -> None:
    health = policy.health()
    zeros = {f"{name}_total": 0 for name in ALL[type(policy)]}
    assert health == {"kind": policy.kind, "name": "p", **others, **zeros}
    assert json.loads(json.dumps(health)) == health


# Retry


@pytest.mark.parametrize(
    ("options", "answers", "expected"),
    [
        ({}, ["answer"], {"succeeded_first": 1}),
        ({}, [DownError(), "answer"], {"succeeded_retried": 1, "retries": 1}),
        ({}, [DownError(), DownError(), "answer"], {"succeeded_retried": 1, "retries": 2}),
        ({}, [DownError()], {"exhausted": 1, "retries": 2}),
        ({"attempts": 1}, [DownError()], {"exhausted": 1}),
        ({"on": DownError}, [ValueError()], {"failed": 1}),
        ({"on": DownError}, [DownError(), ValueError()], {"failed": 1, "retries": 1}),
        ({"on": DownError}, [DownError(), DownError(), ValueError()], {"failed": 1, "retries": 2}),
        ({"attempts": 1, "on": DownError}, [ValueError()], {"failed": 1}),
        ({"max_wait_seconds": 1.5, "backoff": 1.0}, [DownError()], {"exhausted": 1, "retries": 1}),
        ({}, [RateLimitedError("quota", 1.0), "answer"], {"succeeded_retried": 1, "retries": 1}),
        ({}, [RateLimitedError("quota", 60.0)], {"exhausted": 1}),
        ({}, [BulkheadFullError("pool")], {"failed": 1}),
        ({}, [MisuseError("wrong")], {"failed": 1}),
        ({"budget": RetryBudget(0, minimum_per_second=0, clock=ManualClock())}, [DownError()], {"retries": 2}),
        ({}, [KeyboardInterrupt()], {}),
        ({}, [DownError(), KeyboardInterrupt()], {"retries": 1}),
    ],
)
async def test_a_retry_counts_each_end_once(options: dict, answers: list, expected: dict[str, int]) -> None:
    retry = Retry(**{"attempts": 3, "backoff": 0.1, "budget": None, **options})
    await ends(retry, Dependency(*answers).ask)
    if "budget" in options:
        expected = {**expected, "exhausted": 1}
    assert counts(retry) == expected


async def test_a_retry_counts_what_its_budget_refuses() -> None:
    retry = Retry(5, 0.1, budget=RetryBudget(0, minimum_per_second=0, burst=1, clock=ManualClock()))
    for _ in range(3):
        await ends(retry, Dependency(DownError()).ask)
    assert counts(retry) == {"retries": 1, "budget_refused": 3}


async def test_a_retry_counts_a_plain_function_too() -> None:
    retry = Retry()
    await retry.call(max, 1, 2)
    assert counts(retry) == {"succeeded_first": 1}


@pytest.mark.parametrize(("seconds", "retries"), [(0.5, {}), (1.5, {}), (2.5, {"retries": 1})])
async def test_a_retry_does_not_count_the_end_of_a_cancelled_call(seconds: float, retries: dict[str, int]) -> None:
    retry = Retry(3, 1.0, budget=None)
    with anyio.move_on_after(seconds):
        await retry.call(Dependency(DownError(), seconds=1).ask)
    assert counts(retry) == retries


# Bulkhead


async def test_a_bulkhead_counts_who_gets_a_place_and_who_does_not() -> None:
    bulkhead = Bulkhead(1, 1, 2.5)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bulkhead.call, anyio.sleep, 60)
        await anyio.wait_all_tasks_blocked()
        assert counts(bulkhead) == {"admitted": 1}
        tasks.start_soon(ends, bulkhead, Dependency().ask)
        await anyio.wait_all_tasks_blocked()
        health = bulkhead.health()
        assert (health["running"], health["waiting"]) == (1, 1)
        assert isinstance(await ends(bulkhead, Dependency().ask), BulkheadFullError)
        assert counts(bulkhead) == {"admitted": 1, "rejected": 1}
        await anyio.sleep(3)
        assert counts(bulkhead) == {"admitted": 1, "rejected": 2}
        with anyio.move_on_after(1):
            await bulkhead.call(Dependency().ask)
        assert counts(bulkhead) == {"admitted": 1, "rejected": 2}
        tasks.cancel_scope.cancel()
    health = bulkhead.health()
    assert (health["running"], health["waiting"], counts(bulkhead)) == (0, 0, {"admitted": 1, "rejected": 2})


async def test_a_bulkhead_counts_a_call_that_waited_for_its_place() -> None:
    bulkhead = Bulkhead(1, 1)
    async with anyio.create_task_group() as tasks:
        for _ in range(2):
            tasks.start_soon(bulkhead.call, anyio.sleep, 1)
    assert counts(bulkhead) == {"admitted": 2}


@pytest.mark.parametrize("error", [DownError(), KeyboardInterrupt()], ids=repr)
async def test_what_a_call_raises_changes_no_count_of_those_that_admit(error: BaseException) -> None:
    for policy in (Bulkhead(1), RateLimit(1, 1)):
        await ends(policy, Dependency(error).ask)
        assert counts(policy) == {"admitted": 1}


async def test_those_that_admit_count_an_iteration_as_one_call() -> None:
    for policy, error in ((Bulkhead(1), BulkheadFullError), (RateLimit(1, 60, clock=ManualClock()), RateLimitedError)):

        @policy
        async def numbers() -> AsyncIterator[int]:
            yield 1
            yield 2

        stream = numbers()
        assert await anext(stream) == 1
        with pytest.raises(error):
            await anext(numbers())
        await stream.aclose()
        assert counts(policy) == {"admitted": 1, "rejected": 1}


# RateLimit


async def test_a_rate_limit_counts_who_waited_as_delayed_too() -> None:
    policy = RateLimit(1, 1, max_wait_seconds=2, clock=anyio.current_time)
    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(ends, policy, Dependency().ask)
    assert counts(policy) == {"admitted": 3, "delayed": 2, "rejected": 1}
    with anyio.move_on_after(0.5):
        await policy.call(Dependency().ask)
    assert counts(policy) == {"admitted": 3, "delayed": 2, "rejected": 1}


# Hedge


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (["first"], {"calls": 1}),
        ([DownError(), "second"], {"calls": 1, "hedges": 1, "won_by_hedge": 1}),
        ([DownError(), DownError(), "third"], {"calls": 1, "hedges": 2, "won_by_hedge": 1}),
        ([DownError()], {"calls": 1, "hedges": 2, "failed": 1}),
        ([ValueError()], {"calls": 1, "failed": 1}),
        ([DownError(), ValueError()], {"calls": 1, "hedges": 1, "failed": 1}),
        ([BulkheadFullError("pool")], {"calls": 1, "failed": 1}),
        ([KeyboardInterrupt()], {"calls": 1}),
    ],
)
async def test_a_hedge_counts_its_attempts_and_each_end(answers: list, expected: dict[str, int]) -> None:
    hedge = Hedge(30, 2, None, on=DownError)
    await ends(hedge, Dependency(*answers).ask)
    assert counts(hedge) == expected


async def test_a_hedge_that_loses_has_not_won() -> None:
    hedge, seconds = Hedge(1, budget=None), iter([3, 60])

    async def ask() -> None:
        await anyio.sleep(next(seconds))

    await hedge.call(ask)
    assert counts(hedge) == {"calls": 1, "hedges": 1}


async def test_a_hedge_whose_budget_is_used_up_starts_no_other_attempt() -> None:
    hedge = Hedge(1, budget=RetryBudget(0, minimum_per_second=0, burst=1, clock=ManualClock()))
    for _ in range(3):
        await ends(hedge, Dependency(DownError()).ask)
    assert counts(hedge) == {"calls": 3, "hedges": 1, "failed": 3}


async def test_a_cancelled_call_of_a_hedge_has_not_failed() -> None:
    hedge = Hedge(1, budget=None)
    with anyio.move_on_after(3):
        await hedge.call(Dependency(seconds=60).ask)
    assert counts(hedge) == {"calls": 1, "hedges": 1}


# All of them


async def test_health_can_be_read_in_any_thread() -> None:
    bulkhead = Bulkhead(1, 1)
    policies = [Retry(), bulkhead, RateLimit(1, 1), Hedge(1)]
    found: list[object] = []
    async with anyio.create_task_group() as tasks:
        for _ in range(2):
            tasks.start_soon(bulkhead.call, anyio.sleep, 5)
        await anyio.wait_all_tasks_blocked()
        reader = threading.Thread(target=lambda: found.extend(policy.health() for policy in policies))
        reader.start()
        reader.join()
    assert len(found) == len(policies)
    assert (found[1]["running"], found[1]["waiting"]) == (1, 1)


def is_consistent(policy: Policy, ran: int, ends: Counter[str]) -> bool:
    """Returns whether the counts fit how often the function ran, and what the callers saw."""
    seen = Counter(counts(policy))
    match policy.kind:
        case "retry":
            counted = {"ok": seen["succeeded_first"] + seen["succeeded_retried"], "ValueError": seen["failed"]}
            counted["DownError"] = seen["exhausted"]
            return ran - seen["retries"] == ends["started"] and all(ends[end] == counted[end] for end in counted)
        case "hedge":
            failures = ends["ValueError"] + ends["DownError"]
            attempts = seen["calls"] + seen["hedges"]
            return (seen["calls"], seen["failed"]) == (ends["started"], failures) and ran <= attempts
    rejected = ends["BulkheadFullError"] + ends["RateLimitedError"]
    return (seen["admitted"], seen["rejected"]) == (ran, rejected)


@pytest.mark.parametrize(
    "make",
    [
        lambda _: Retry(3, 0.25, budget=None, on=DownError),
        lambda _: Bulkhead(2, 2, 0.5),
        lambda schedule: RateLimit(2, 1, max_wait_seconds=1, clock=schedule.now),
        lambda _: Hedge(0.25, 2, None, on=DownError),
    ],
    ids=["retry", "bulkhead", "rate_limit", "hedge"],
)
def test_no_schedule_loses_or_doubles_a_count(make: Callable[[Schedule], Policy]) -> None:
    async def scenario(schedule: Schedule) -> None:
        policy, ran, ends = make(schedule), 0, Counter[str]()

        async def ask() -> None:
            nonlocal ran
            ran += 1
            await schedule.pause()
            if schedule.rng.random() < 0.4:
                raise schedule.rng.choice([DownError, ValueError])

        async def caller() -> None:
            for _ in range(2):
                ends["started"] += 1
                try:
                    await policy.call(ask)
                    ends["ok"] += 1
                except Exception as error:  # noqa: BLE001 - counted by its type
                    ends[type(error).__name__] += 1

        tasks = [schedule.spawn(caller) for _ in range(6)]
        for task in tasks[:2]:
            schedule.cancel_later(task)
        await schedule.join()
        assert is_consistent(policy, ran, ends), (policy.health(), ran, ends)

    explore(scenario, schedules=300)
