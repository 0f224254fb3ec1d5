"""`fallback()`: as a decorator, and as a policy that is handed its primary with each call."""

import inspect

import pytest

from recloser import Constant, Fallback, LastKnownGood, NoAnswer, RejectedError, fallback
from recloser.errors import FallbackExhaustedError
from recloser.testing import ManualClock
from tests.fallback.kit import DownError, Source, opened, rejecting

pytestmark = pytest.mark.anyio


async def test_a_decorated_function_falls_back() -> None:
    users, cached = await opened("users"), Source("cached", "cached")

    @fallback(cached, Constant("default"))
    @users
    async def get_user(user_id: int, *, fields: str = "") -> object:
        """Gets a user."""
        pytest.fail(f"called with {user_id} {fields}")

    assert await get_user(7, fields="name") == "cached"
    assert cached.calls == [((7,), {"fields": "name"})]
    assert (get_user.__name__, get_user.__doc__, get_user.breaker) == ("get_user", "Gets a user.", users)
    assert str(inspect.signature(get_user)) == "(user_id: int, *, fields: str = '') -> object"
    assert inspect.iscoroutinefunction(get_user)


async def test_the_wrapper_shows_its_chain_and_detailed_answers() -> None:
    @fallback(Constant("default"))
    async def get_user(user_id: int) -> object:
        raise RejectedError(f"user {user_id}")

    answer = await get_user.detailed(7)
    assert (answer.value, answer.source, answer.degraded) == ("default", "constant", True)
    assert isinstance(get_user.chain, Fallback)
    assert get_user.chain.name == "get_user"
    assert get_user.chain.health()["links"]["constant"]["answers_total"] == 1


async def test_a_decorated_method_hands_self_to_the_links() -> None:
    class Client:
        name = "client"

        def guess(self, key: str) -> str:
            return f"{self.name} guesses {key}"

        @fallback(guess)
        async def fetch(self, key: str) -> str:
            raise RejectedError(key)

    client = Client()
    assert await client.fetch("x") == "client guesses x"
    assert (await Client.fetch.detailed(client, "x")).source == "guess"


async def test_on_and_name_belong_to_the_decorated_chain_too() -> None:
    decorated = fallback(Constant(0), on=DownError, name="users")(Source("primary", DownError()))
    assert await decorated() == 0
    assert decorated.chain.name == "users"


async def test_one_policy_behind_two_functions_counts_and_remembers_for_each(clock: ManualClock) -> None:
    policy = fallback(LastKnownGood(60, 10, clock=clock), Constant("default"))
    users, orders = Source("users", "a user"), Source("orders", "an order")
    get_user, get_order = policy(users), policy(orders)
    await get_user(7)
    users.end = orders.end = NoAnswer()
    assert [await get_user(7), await get_order(7)] == ["a user", "default"]
    assert get_user.chain.health()["links"]["last_known_good"] == {"answers_total": 1, "errors_total": 0}


async def test_a_policy_calls_a_primary_and_falls_back_from_it() -> None:
    policy, cached = fallback(Source("cached", "cached")), Source("primary")
    assert await policy.call(cached, 7, key="x") == "primary answers"
    assert await policy.call(lambda: 8) == 8
    assert await policy.call(rejecting(), 7) == "cached"
    assert cached.calls == [((7,), {"key": "x"})]
    assert policy.health()["links"] == {
        "primary": {"answers_total": 2, "errors_total": 1},
        "cached": {"answers_total": 1, "errors_total": 0},
    }


async def test_a_policy_remembers_what_each_primary_has_answered(clock: ManualClock) -> None:
    policy = fallback(LastKnownGood(60, 10, clock=clock), Constant("default"))

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
    await policy.call(client.user, 7)
    client.up = False
    assert [await policy.call(client.user, 7), await policy.call(client.order, 7)] == ["user 7", "default"]


async def test_a_policy_takes_a_chain_as_its_primary() -> None:
    chain = Fallback(rejecting("replica"), Source("archive"), name="inner")
    assert await fallback(Constant(0)).call(chain) == "archive answers"


async def test_a_policy_does_not_pass_stale_answers_of_a_chain_off_as_fresh(clock: ManualClock) -> None:
    primary, memory = Source("primary"), LastKnownGood(60, 10, clock=clock)
    chain = Fallback(primary, LastKnownGood(60, 10, clock=clock))
    await chain(7)
    primary.end = NoAnswer()
    assert await fallback(memory).call(chain, 7) == "primary answers"
    assert len(memory) == 0


async def test_what_stands_around_a_decorated_function_is_not_passed_by() -> None:
    @fallback(Constant("default"))
    async def get_user(user_id: int) -> object:
        pytest.fail(f"an open breaker let a call for {user_id} through")

    guarded = (await opened("users"))(get_user)
    assert guarded.chain is get_user.chain
    assert await Fallback(guarded, Constant("of the outer chain"))(7) == "of the outer chain"


async def test_a_policy_whose_links_all_fail_says_so() -> None:
    with pytest.raises(FallbackExhaustedError) as caught:
        await fallback(Source("cached", NoAnswer()), name="users").call(rejecting())
    assert (caught.value.name, caught.value.sources) == ("users", ("primary", "cached"))


def test_a_policy_says_what_it_is() -> None:
    policy = fallback(Source("cached"), Constant(0))
    assert policy.kind == "fallback"
    assert repr(policy) == "<fallback 'fallback': to cached, constant>"


def test_a_policy_without_links_is_refused() -> None:
    with pytest.raises(ValueError, match="needs at least one link to fall back to"):
        fallback()


def test_a_policy_with_links_behind_a_constant_is_refused() -> None:
    with pytest.raises(ValueError, match="put it last"):
        fallback(Constant(0), Source("cached"))


@pytest.mark.parametrize("fn", [lambda: 1, 7, int])
def test_what_is_no_coroutine_function_is_not_decorated(fn: object) -> None:
    with pytest.raises(TypeError, match=r"decorates coroutine functions, .*; Fallback\(fn, ...\) takes plain ones too"):
        fallback(Constant(0))(fn)


def test_a_policy_is_no_link() -> None:
    with pytest.raises(TypeError, match=r"is no link: it has no primary; pass Fallback\(primary, ...\)"):
        Fallback(Source("primary"), fallback(Constant(0)))


async def test_what_can_not_be_called_is_refused_by_a_call() -> None:
    with pytest.raises(TypeError, match=r"call\(\) takes a function and its arguments"):
        await fallback(Constant(0)).call(7)


async def test_a_coroutine_is_refused_by_a_call_and_closed() -> None:
    with pytest.raises(TypeError, match=r"call\(\) takes a function and its arguments"):
        await fallback(Constant(0)).call(Source("primary")())
