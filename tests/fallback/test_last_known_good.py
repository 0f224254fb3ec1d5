"""The memory of a chain: what is remembered, under which key, how long, and what can't break it."""

import asyncio
import gc
import logging
import math
import sys
from collections.abc import Callable

import anyio
import pytest

from recloser import Constant, Fallback, LastKnownGood, NoAnswer
from recloser.errors import FallbackExhaustedError
from recloser.testing import ManualClock
from tests.effort import FULL
from tests.fallback.kit import DownError, Source, protect, rejecting

pytestmark = pytest.mark.anyio


class Echo(Source):
    """Answers with its arguments until it is told to reject."""

    async def __call__(self, *args: object, **kwargs: object) -> object:
        await super().__call__(*args, **kwargs)
        return (args, kwargs)


def down(source: Source) -> None:
    source.end = NoAnswer(f"{source.__name__} is down")


def logged(log: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in log.records if record.levelno == logging.ERROR and record.exc_info]


# What is remembered


async def test_an_answer_is_served_again_when_the_links_before_the_memory_fail(clock: ManualClock) -> None:
    primary = Source("primary", "fresh")
    chain = protect(primary, LastKnownGood(60, 10, clock=clock))
    await chain(7)
    down(primary)
    assert await chain(7) == "fresh"


async def test_the_newest_answer_is_served(clock: ManualClock) -> None:
    primary = Source("primary", "old")
    chain = protect(primary, LastKnownGood(60, 10, clock=clock))
    await chain(7)
    clock.advance(10)
    primary.end = "new"
    await chain(7)
    down(primary)
    clock.advance(5)
    answer = await chain.detailed(7)
    assert (answer.value, answer.age_seconds) == ("new", 5)


async def test_none_is_remembered_too(clock: ManualClock) -> None:
    answers = [None]

    async def once() -> object:
        if answers:
            return answers.pop()
        raise NoAnswer

    chain = protect(once, LastKnownGood(60, 10, clock=clock))
    assert [await chain(), (await chain.detailed()).source] == [None, "last_known_good"]


async def test_answers_of_every_link_before_the_memory_are_remembered_and_none_behind_it(clock: ManualClock) -> None:
    secondary, last = Source("secondary", "second"), Source("last")
    chain = protect(rejecting(), secondary, LastKnownGood(60, 10, clock=clock), last)
    await chain(1)
    down(secondary)
    assert await chain(1) == "second"
    assert await chain(2) == "last answers"
    down(last)
    with pytest.raises(FallbackExhaustedError):
        await chain(2)


async def test_a_remembered_answer_is_not_remembered_anew(clock: ManualClock) -> None:
    primary = Source("primary", "fresh")
    inner = protect(primary, LastKnownGood(60, 10, clock=clock), name="inner")
    chain = protect(inner, LastKnownGood(90, 10, clock=clock, name="outer"))
    await chain(7)
    down(primary)
    clock.advance(50)
    stale = await chain.detailed(7)
    assert (stale.source, stale.age_seconds) == ("inner/last_known_good", 50)
    clock.advance(30)
    staler = await chain.detailed(7)
    assert (staler.source, staler.age_seconds) == ("outer", 80)
    clock.advance(10)
    with pytest.raises(FallbackExhaustedError):
        await chain(7)


async def test_a_constant_of_a_chain_within_is_not_remembered(clock: ManualClock) -> None:
    memory = LastKnownGood(60, 10, clock=clock)
    await protect(protect(rejecting(), Constant("guest")), memory)(7)
    assert len(memory) == 0


async def test_a_protected_function_as_a_link_does_not_pass_stale_answers_off_as_fresh(clock: ManualClock) -> None:
    primary, memory = Source("primary", "fresh"), LastKnownGood(60, 10, clock=clock)

    @Fallback(LastKnownGood(60, 10, clock=clock))
    async def get(number: int) -> object:
        return await primary(number)

    chain = protect(get, memory)
    await get(7)
    down(primary)
    answer = await chain.detailed(7)
    assert (answer.source, answer.age_seconds, len(memory)) == ("get/last_known_good", 0, 0)


# Age


async def test_an_answer_expires_at_its_ttl_exactly(clock: ManualClock) -> None:
    primary = Source("primary", "fresh")
    chain = protect(primary, LastKnownGood(0.3, 10, clock=clock), Constant("default"))
    await chain()
    down(primary)
    start = clock()
    clock.set(math.nextafter(start + 0.3, 0))
    assert (await chain.detailed()).age_seconds < 0.3
    clock.set(start + 0.3)
    assert await chain() == "default"


async def test_the_age_counts_from_the_start_of_the_call(clock: ManualClock) -> None:
    async def slow() -> str:
        if clock() > 1_000:
            raise NoAnswer
        clock.advance(40)
        return "read long ago"

    chain = protect(slow, LastKnownGood(60, 10, clock=clock), Constant("default"))
    await chain()
    assert (await chain.detailed()).age_seconds == 40
    clock.advance(20)
    assert await chain() == "default"


async def test_an_answer_that_took_longer_than_its_ttl_is_never_served(clock: ManualClock) -> None:
    started = clock()

    async def slow() -> str:
        if clock() > started:
            raise NoAnswer
        clock.advance(60)
        return "read long ago"

    chain = protect(slow, LastKnownGood(60, 10, clock=clock), Constant("default"))
    assert [await chain(), await chain()] == ["read long ago", "default"]


async def test_a_clock_that_is_set_back_stands_still(clock: ManualClock) -> None:
    primary = Source("primary", "fresh")
    chain = protect(primary, LastKnownGood(60, 10, clock=clock), Constant("default"))
    clock.advance(100)
    await chain()
    down(primary)
    clock.advance(50)
    assert (await chain.detailed()).age_seconds == 50
    clock.set(0)
    assert (await chain.detailed()).age_seconds == 50
    clock.set(1_160)
    assert await chain() == "default"


@pytest.mark.parametrize("later_ends_first", [True, False])
async def test_of_two_calls_the_answer_of_the_one_that_started_last_is_kept(
    clock: ManualClock, *, later_ends_first: bool
) -> None:
    ends = {"early": anyio.Event(), "late": anyio.Event()}
    queue = ["early", "late"]

    async def slow() -> str:
        if not queue:
            raise NoAnswer
        mine = queue.pop(0)
        await ends[mine].wait()
        return mine

    chain = protect(slow, LastKnownGood(60, 10, clock=clock))
    async with anyio.create_task_group() as tasks:
        for _ in range(2):
            tasks.start_soon(chain)
            await anyio.wait_all_tasks_blocked()
            clock.advance(1)
        for name in ("late", "early") if later_ends_first else ("early", "late"):
            ends[name].set()
            await anyio.wait_all_tasks_blocked()
    answer = await chain.detailed()
    assert (answer.value, answer.age_seconds) == ("late", 1)


# Keys


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (((1,), {}), ((2,), {})),
        (((1,), {}), ((1.0,), {})),
        (((1,), {}), ((True,), {})),
        (((), {"a": 1}), ((), {"a": True})),
        (((), {"a": 1}), ((), {"b": 1})),
        ((("a", 1), {}), ((), {"a": 1})),
        (((1,), {}), ((1, int), {})),
    ],
)
async def test_calls_that_differ_share_no_answer(clock: ManualClock, one: tuple, other: tuple) -> None:
    primary = Echo("primary")
    chain = protect(primary, LastKnownGood(60, 10, clock=clock), Constant("default"))
    await chain(*one[0], **one[1])
    down(primary)
    assert await chain(*other[0], **other[1]) == "default"
    assert await chain(*one[0], **one[1]) == one


async def test_the_order_of_keyword_arguments_makes_no_difference(clock: ManualClock) -> None:
    primary = Source("primary", "fresh")
    chain = protect(primary, LastKnownGood(60, 10, clock=clock))
    await chain(a=1, b=2)
    down(primary)
    assert await chain(b=2, a=1) == "fresh"


async def test_a_key_function_says_which_calls_have_the_same_answer(clock: ManualClock) -> None:
    primary = Source("primary", "fresh")
    chain = protect(primary, LastKnownGood(60, 10, key=lambda user, **_: user["id"], clock=clock), Constant("default"))
    await chain({"id": 7, "seen": []}, trace="a")
    down(primary)
    assert await chain({"id": 7, "seen": [1]}, trace="b") == "fresh"
    assert await chain({"id": 8}) == "default"


async def test_arguments_that_can_be_no_key_are_refused_before_any_link_runs_by_a_message_that_names_key(
    clock: ManualClock,
) -> None:
    primary = Source("primary")
    chain = protect(primary, LastKnownGood(60, 10, clock=clock), Constant("default"))
    with pytest.raises(
        TypeError, match=r"TypeError: unhashable type: 'dict'\); give LastKnownGood key=..., a function"
    ):
        await chain({"id": 7})
    assert primary.calls == []


class Hostile:
    """A key that raises when it is compared with another one."""

    def __hash__(self) -> int:
        return 7

    def __eq__(self, other: object) -> bool:
        raise DownError


@pytest.mark.parametrize(
    "key", [lambda user: user["id"], lambda user: [user], lambda: 0], ids=["raises", "unhashable", "other arguments"]
)
async def test_a_key_function_that_fails_is_logged_and_the_caller_is_not_affected(
    clock: ManualClock, caplog: pytest.LogCaptureFixture, key: Callable[..., object]
) -> None:
    primary = Source("primary")
    chain = protect(primary, LastKnownGood(60, 10, key=key, clock=clock), Constant("default"))
    assert await chain(7) == "primary answers"
    assert logged(caplog) == ["Key or clock of 'last_known_good' raised; the call is not remembered"]
    down(primary)
    answer = await chain.detailed(7)
    assert (answer.value, str(answer.errors[1][1])) == ("default", "last_known_good has no key for this call")


async def test_an_interrupt_in_a_key_function_goes_through_before_any_link_runs(clock: ManualClock) -> None:
    def interrupted(_: object) -> object:
        raise KeyboardInterrupt

    primary = Source("primary")
    with pytest.raises(KeyboardInterrupt):
        await protect(primary, LastKnownGood(60, 10, key=interrupted, clock=clock))(7)
    assert primary.calls == []


async def test_a_key_that_can_not_be_compared_is_logged_and_the_caller_is_not_affected(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    primary = Source("primary")
    chain = protect(primary, LastKnownGood(60, 10, clock=clock), Constant("default"))
    assert [await chain(Hostile()), await chain(Hostile())] == ["primary answers"] * 2
    assert logged(caplog) == ["'last_known_good' could not remember an answer"]
    down(primary)
    assert await chain(Hostile()) == "default"
    assert logged(caplog)[1:] == ["'last_known_good' could not recall an answer"]


@pytest.mark.parametrize("reading", [math.nan, math.inf, "now", None])
async def test_a_clock_that_fails_has_nothing_remembered_and_nothing_served(
    clock: ManualClock, caplog: pytest.LogCaptureFixture, reading: object
) -> None:
    broken = False
    primary, memory = Source("primary", "fresh"), LastKnownGood(60, 10, clock=lambda: reading if broken else clock())
    chain = protect(primary, memory, Constant("default"))
    await chain(7)
    broken = True
    assert await chain(8) == "fresh"
    down(primary)
    assert await chain(7) == "default"
    assert len(logged(caplog)) == 2
    broken = False
    assert await chain(7) == "fresh"
    assert await chain(8) == "default"


async def test_a_clock_that_fails_while_a_link_runs_keeps_the_answer_from_nobody(clock: ManualClock) -> None:
    broken = []

    async def primary(number: int) -> str:
        broken.append(number)
        return "fresh"

    def read() -> float:
        if broken:
            raise DownError
        return clock()

    assert await protect(primary, LastKnownGood(60, 10, clock=read))(7) == "fresh"


async def test_a_memory_in_several_chains_keeps_their_answers_apart(clock: ManualClock) -> None:
    users, orders, memory = Source("users", "a user"), Source("orders", "an order"), LastKnownGood(60, 10, clock=clock)
    get_user, get_order = protect(users, memory), protect(orders, memory, Constant("default"))
    await get_user(7)
    down(users)
    down(orders)
    assert (await get_order(7), await get_user(7), len(memory)) == ("default", "a user", 1)


# Bounds


async def test_the_least_recently_used_answer_goes_first(clock: ManualClock) -> None:
    primary = Echo("primary")
    chain = protect(primary, LastKnownGood(60, 2, clock=clock), Constant("default"))
    await chain(1)
    await chain(2)
    down(primary)
    await chain(1)
    primary.end = None
    await chain(3)
    down(primary)
    assert [await chain(n) == "default" for n in (1, 2, 3)] == [False, True, False]


async def test_expired_answers_make_room_before_good_ones(clock: ManualClock) -> None:
    primary, memory = Echo("primary"), LastKnownGood(60, 2, clock=clock)
    chain = protect(primary, memory, Constant("default"))
    await chain(1)
    clock.advance(59)
    await chain(2)
    assert len(memory) == 2
    clock.advance(1)
    assert len(memory) == 1
    await chain(3)
    down(primary)
    assert [await chain(n) == "default" for n in (1, 2, 3)] == [True, False, False]


KEYS = 1_000_000 if FULL else 100_000


def test_memory_is_bounded_under_a_million_keys(clock: ManualClock) -> None:
    class Record:
        alive = 0

        def __init__(self, number: int) -> None:
            self.number = number
            Record.alive += 1

        def __del__(self) -> None:
            Record.alive -= 1

    async def primary(number: int) -> Record:
        return Record(number)

    async def main() -> None:
        memory = LastKnownGood(60, 1_000, clock=clock)
        chain = protect(primary, memory)
        for number in range(2_000):
            await chain(number)
        gc.collect()
        before = sys.getallocatedblocks()
        for number in range(2_000, KEYS):
            await chain(number)
        gc.collect()
        assert (len(memory), Record.alive) == (1_000, 1_000)
        assert sys.getallocatedblocks() - before < 1_000

    asyncio.run(main())


async def test_what_is_cleared_is_served_no_more(clock: ManualClock) -> None:
    primary, memory = Source("primary", "fresh"), LastKnownGood(60, 10, clock=clock)
    chain = protect(primary, memory, Constant("default"))
    await chain()
    memory.clear()
    down(primary)
    assert (await chain(), len(memory)) == ("default", 0)


# Late answers, and chains within a chain


async def test_an_answer_that_is_too_old_when_it_arrives_throws_out_no_other(clock: ManualClock) -> None:
    may_end, memory, source = anyio.Event(), LastKnownGood(10, 1, clock=clock), Echo("primary")

    async def fetch(name: str) -> object:
        if name == "slow":
            await may_end.wait()
        return await source(name)

    chain = protect(fetch, memory)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(chain, "slow")
        await anyio.wait_all_tasks_blocked()
        clock.advance(10)
        await chain("fresh")
        may_end.set()
    down(source)
    assert (await chain.detailed("fresh")).source == "last_known_good"


@pytest.mark.parametrize("depth", [1, 2])
async def test_unhashable_arguments_of_a_memory_in_a_chain_within_are_refused_before_any_link_runs(depth: int) -> None:
    inner = protect(Source("replica"), LastKnownGood(60, 10))
    for _ in range(depth - 1):
        inner = protect(Source("between"), inner)
    primary = Source("primary")
    with pytest.raises(TypeError, match="key="):
        await protect(primary, inner)({})
    assert primary.calls == []


async def test_the_key_of_a_call_is_made_once_for_a_chain_within_too() -> None:
    keys: list[object] = []
    inner = protect(Source("replica"), LastKnownGood(60, 10, key=keys.append))
    await protect(rejecting("primary"), inner)(7)
    assert keys == [7]


async def test_a_memory_in_a_chain_within_remembers_what_that_chain_says() -> None:
    primary, replica = rejecting("primary"), Source("replica")
    chain = protect(primary, protect(replica, LastKnownGood(60, 10)))
    assert await chain(7) == "replica answers"
    replica.end = NoAnswer("down")
    answer = await chain.detailed(7)
    assert (answer.value, answer.source) == ("replica answers", "replica/last_known_good")
