"""`Fallback` as a decorator, and as a policy that gets its primary with each call."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from recloser import (
    Answer,
    BreakerRegistry,
    Bulkhead,
    CircuitBreaker,
    Constant,
    Fallback,
    Hedge,
    LastKnownGood,
    NoAnswer,
    RateLimit,
    RejectedError,
    Retry,
    Timeout,
)
from recloser.errors import BulkheadFullError, FallbackExhaustedError
from recloser.testing import ManualClock
from tests.fallback.kit import DownError, Source, opened, rejecting

pytestmark = pytest.mark.anyio


async def test_a_decorated_function_falls_back() -> None:
    users, cached = await opened("users"), Source("cached", "cached")

    @Fallback(cached, Constant("default"))
    @users
    async def get_user(user_id: int, *, fields: str = "") -> object:
        """Gets a user."""
        pytest.fail(f"called with {user_id} {fields}")

    assert await get_user(7, fields="name") == "cached"
    assert cached.calls == [((7,), {"fields": "name"})]
    assert (get_user.__name__, get_user.__doc__, get_user.breaker) == ("get_user", "Gets a user.", users)
    assert str(inspect.signature(get_user)) == "(user_id: int, *, fields: str = '') -> object"
    assert inspect.iscoroutinefunction(get_user)


async def test_a_decorated_function_tells_its_sources_and_where_an_answer_came_from() -> None:
    fallback = Fallback(Constant("default"))

    @fallback
    async def get_user(user_id: int) -> object:
        raise RejectedError(f"user {user_id}")

    answer = await get_user.detailed(7)
    assert (answer.value, answer.source, answer.degraded) == ("default", "constant", True)
    assert get_user.sources == ("get_user", "constant")
    assert get_user.health()["links"]["constant"]["answers_total"] == 1
    assert get_user.policy is fallback
    assert repr(get_user.detailed).startswith("<detailed() of <function ")


async def test_a_decorated_method_hands_self_to_the_links() -> None:
    class Client:
        name = "client"

        def guess(self, key: str) -> str:
            return f"{self.name} guesses {key}"

        @Fallback(guess)
        async def fetch(self, key: str) -> str:
            raise RejectedError(key)

    client = Client()
    assert await client.fetch("x") == "client guesses x"
    assert (await Client.fetch.detailed(client, "x")).source == "guess"


async def test_class_methods_and_static_methods_are_decorated_below() -> None:
    def guess(*args: object) -> object:
        return args

    class Client:
        @classmethod
        @Fallback(guess)
        async def fetch(cls, key: str) -> object:
            raise RejectedError(key)

        @staticmethod
        @Fallback(guess)
        async def head(key: str) -> object:
            raise RejectedError(key)

    assert await Client.fetch("x") == await Client().fetch("x") == (Client, "x")
    assert (await Client.fetch.detailed(Client, "x")).source == "guess"
    assert await Client.head("x") == await Client().head("x") == ("x",)
    assert (await Client.head.detailed("x")).source == "guess"


async def test_class_methods_and_static_methods_are_decorated_above() -> None:
    def guess(*args: object) -> object:
        return args

    class Client:
        @Fallback(guess)
        @classmethod
        async def fetch(cls, key: str) -> object:
            """Fetches."""
            raise RejectedError(key)

        @Fallback(guess)
        @staticmethod
        async def head(key: str) -> object:
            raise RejectedError(key)

    assert await Client.fetch("x") == await Client().fetch("x") == (Client, "x")
    assert (Client.fetch.__name__, Client.fetch.__doc__) == ("fetch", "Fetches.")
    assert (await Client.fetch.detailed(Client, "x")).source == "guess"
    assert await Client.head("x") == await Client().head("x") == ("x",)
    assert (await Client.head.detailed("x")).source == "guess"


async def test_on_belongs_to_both_forms() -> None:
    fallback = Fallback(Constant(0), on=DownError)
    assert await fallback(Source("primary", DownError()))() == 0
    assert await fallback.call(Source("primary", DownError())) == 0
    for ask in (fallback(Source("primary", LookupError())), functools.partial(fallback.call, {}.__getitem__, 7)):
        with pytest.raises(LookupError):
            await ask()


async def test_on_can_be_what_a_breaker_counts_as_a_failure() -> None:
    breaker = CircuitBreaker(expected_exception=DownError)
    fallback = Fallback(Constant("default"), on=breaker.is_failure)
    assert await fallback(breaker(Source("users", DownError())))() == "default"
    with pytest.raises(LookupError):
        await fallback(breaker(Source("users", LookupError("no such user"))))()


async def test_one_fallback_of_two_functions_counts_and_remembers_for_each(clock: ManualClock) -> None:
    fallback = Fallback(LastKnownGood(60, 10, clock=clock), Constant("default"))
    users, orders = Source("users", "a user"), Source("orders", "an order")
    get_user, get_order = fallback(users), fallback(orders)
    await get_user(7)
    users.end = orders.end = NoAnswer()
    assert [await get_user(7), await get_order(7)] == ["a user", "default"]
    assert get_user.health()["links"]["last_known_good"] == {"answers_total": 1, "errors_total": 0}
    assert fallback.health()["links"]["last_known_good"] == {"answers_total": 0, "errors_total": 0}


async def test_call_calls_a_primary_and_falls_back_from_it() -> None:
    fallback, primary = Fallback(cached := Source("cached", "cached")), Source("primary")
    assert await fallback.call(primary, 7, key="x") == "primary answers"
    assert await fallback.call(lambda: 8) == 8
    assert cached.calls == []
    assert await fallback.call(rejecting(), 7, key="x") == "cached"
    assert cached.calls == [((7,), {"key": "x"})]
    assert fallback.health() == {
        "kind": "fallback",
        "name": fallback.name,
        "links": {
            "primary": {"answers_total": 2, "errors_total": 1},
            "cached": {"answers_total": 1, "errors_total": 0},
        },
        "exhausted_total": 0,
    }


async def test_call_counts_what_nobody_answers() -> None:
    fallback = Fallback(Source("cached", NoAnswer()))
    with pytest.raises(FallbackExhaustedError):
        await fallback.call(rejecting("cached"))
    assert fallback.health()["exhausted_total"] == 1


async def test_call_tells_a_primary_from_a_link_of_the_same_name() -> None:
    with pytest.raises(FallbackExhaustedError) as caught:
        await Fallback(Source("cached", NoAnswer())).call(rejecting("cached"))
    assert caught.value.sources == ("cached", "cached-2")


async def test_call_remembers_what_each_primary_has_answered(clock: ManualClock) -> None:
    fallback = Fallback(LastKnownGood(60, 10, clock=clock), Constant("default"))

    class Client:
        up = True

        async def user(self, number: int) -> str:
            return self.answer(f"user {number}")

        async def order(self, number: int) -> str:
            return self.answer(f"order {number}")

        def answer(self, text: str) -> str:
            if self.up:
                return text
            raise NoAnswer

    client = Client()
    await fallback.call(client.user, 7)
    client.up = False
    assert [await fallback.call(client.user, 7), await fallback.call(client.order, 7)] == ["user 7", "default"]


@pytest.mark.parametrize("decorated", [True, False], ids=["decorated", "called"])
async def test_a_protected_function_can_be_a_primary_itself(*, decorated: bool) -> None:
    inner = Fallback(Source("archive"), name="inner")(rejecting("replica"))
    outer = Fallback(Constant(0))
    if decorated:
        assert (await outer(inner).detailed()).source == "inner/archive"
    else:
        assert await outer.call(inner) == "archive answers"


async def test_call_does_not_pass_stale_answers_of_a_chain_off_as_fresh(clock: ManualClock) -> None:
    primary, memory = Source("primary"), LastKnownGood(60, 10, clock=clock)
    get = Fallback(LastKnownGood(60, 10, clock=clock))(primary)
    await get(7)
    primary.end = NoAnswer()
    assert await Fallback(memory).call(get, 7) == "primary answers"
    assert len(memory) == 0


# Around a protected function


def policies() -> list[Callable[..., Any]]:
    registry = BreakerRegistry()
    return [
        Timeout(60),
        Bulkhead(1),
        RateLimit(10, 1),
        Retry(2),
        Hedge(60),
        CircuitBreaker(),
        registry.per_key("users", key=str),
    ]


@pytest.mark.parametrize("policy", policies(), ids=lambda policy: getattr(policy, "kind", type(policy).__name__))
async def test_what_is_put_around_a_protected_function_tells_the_source_too(policy: Callable[..., Any]) -> None:
    primary = Source("primary")
    get = policy(Fallback(Constant("default"))(primary))
    assert await get.detailed(7) == Answer("primary answers", "primary")
    primary.end = error = NoAnswer()
    assert await get.detailed(7) == Answer("default", "constant", (("primary", error),))
    assert get.sources == ("primary", "constant")
    assert primary.calls == [((7,), {})] * 2


async def test_detailed_passes_no_policy_by() -> None:
    async def hang() -> None:
        await anyio.sleep_forever()

    get = Bulkhead(1)(Retry(2)(Fallback(Constant(0))(hang)))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(get)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(BulkheadFullError), anyio.fail_after(1):
            await get.detailed()
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("form", ["breaker", "per key"])
async def test_detailed_passes_no_breaker_by(form: str) -> None:
    registry = BreakerRegistry(failure_threshold=1)
    breaker = registry.breaker("users") if form == "breaker" else registry.per_key("users", key=str)
    get = breaker(Fallback(Constant("default"))(Source("primary", DownError())))
    with pytest.raises(DownError):
        await get.detailed(7)
    with pytest.raises(RejectedError):
        await get.detailed(7)


async def test_a_breaker_around_a_protected_function_judges_its_values() -> None:
    judged = []
    breaker = CircuitBreaker(failed_result=judged.append)
    await breaker(Fallback(Constant("default"))(rejecting())).detailed()
    assert judged == ["default"]


async def test_of_the_attempts_of_a_hedge_the_one_that_wins_tells_the_source() -> None:
    slow = [True, False]

    async def fetch() -> str:
        if slow.pop(0):
            await anyio.sleep_forever()
        raise NoAnswer

    answer = await Hedge(0)(Fallback(Source("cached"))(fetch)).detailed()
    assert (answer.value, answer.source) == ("cached answers", "cached")


async def test_what_stands_around_a_protected_function_is_not_passed_by_in_a_chain() -> None:
    @Fallback(Constant("default"))
    async def get_user(user_id: int) -> object:
        pytest.fail(f"an open breaker let a call for {user_id} through")

    guarded = (await opened("users"))(get_user)
    outer = Fallback(guarded, Constant("of the outer one"))(rejecting())
    assert await outer(7) == "of the outer one"
    assert outer.sources == ("primary", "get_user", "constant")


async def test_a_decorator_of_ones_own_around_a_protected_function_is_not_passed_by_in_a_chain() -> None:
    inner = Fallback(Constant("default"))(rejecting("inner"))

    @functools.wraps(inner)
    async def shout(*args: object) -> str:
        return str(await inner(*args)).upper()

    assert await Fallback(shout)(rejecting())() == "DEFAULT"


def test_a_policy_around_a_decorator_of_ones_own_does_not_pass_it_by() -> None:
    inner = Fallback(Constant("default"))(rejecting("inner"))

    @functools.wraps(inner)
    async def shout(*args: object) -> str:
        return str(await inner(*args)).upper()

    assert not hasattr(Timeout(60)(shout), "detailed")
    assert not hasattr(CircuitBreaker()(functools.partial(inner, 7)), "detailed")


# Descriptions


def test_a_fallback_says_what_it_is() -> None:
    fallback = Fallback(Source("cached"), Constant(0), name="users")
    assert (fallback.kind, fallback.name) == ("fallback", "users")
    assert str(fallback) == "Fallback 'users': to cached, constant"
    assert repr(fallback) == "<Fallback 'users': to cached, constant>"


def test_a_fallback_without_a_name_gets_one_of_its_own() -> None:
    first, second = Fallback(Constant(0)), Fallback(Constant(0))
    assert first.name.startswith("fallback-")
    assert first.name != second.name
