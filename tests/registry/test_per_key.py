"""`registry.per_key(name, key=...)`: one breaker per key."""

import inspect
from collections.abc import AsyncIterator

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recloser import BreakerRegistry, CircuitBreaker, CircuitBreakerOpenError, CircuitState
from recloser._registry.keyed import LONGEST_KEY, label
from recloser.errors import MisuseError
from tests.registry.kit import names

pytestmark = pytest.mark.anyio


def host_of(url: str, **_: object) -> str:
    return url.partition("/")[0]


async def fetch(url: str, *, error: BaseException | None = None) -> str:
    """Fetches."""
    if error is not None:
        raise error
    return f"page of {url}"


async def lines(url: str, error: BaseException | None = None) -> AsyncIterator[str]:
    yield url
    if error is not None:
        raise error


async def test_each_key_has_a_breaker_of_its_own() -> None:
    registry = BreakerRegistry()
    protected = registry.per_key("web", key=host_of, failure_threshold=1)(fetch)
    error = OSError("down")
    with pytest.raises(OSError, match="down") as caught:
        await protected("a.example/1", error=error)
    assert caught.value is error
    with pytest.raises(CircuitBreakerOpenError, match=r"'web\[a\.example\]' is OPEN"):
        await protected("a.example/2")
    assert await protected("b.example/1") == "page of b.example/1"
    assert names(registry) == {"web[a.example]", "web[b.example]"}


async def test_an_async_generator_function_has_a_breaker_per_key_too() -> None:
    registry = BreakerRegistry(failure_threshold=1)
    protected = registry.per_key("web", key=host_of)(lines)
    assert [line async for line in protected("a.example/1")] == ["a.example/1"]
    assert registry.breaker("web[a.example]").health()["success_total"] == 1
    with pytest.raises(OSError, match="down"):
        _ = [line async for line in protected("b.example/1", error=OSError("down"))]
    assert registry.breaker("web[b.example]").state is CircuitState.OPEN


async def test_a_method_gets_a_breaker_by_its_object() -> None:
    registry = BreakerRegistry()

    class Client:
        def __init__(self, host: str) -> None:
            self.host = host

        @registry.per_key("web", key=lambda self, path: self.host)  # noqa: ARG005 - as a call's arguments
        async def get(self, path: str) -> str:
            return self.host + path

    assert await Client("a.example").get("/1") == "a.example/1"
    assert names(registry) == {"web[a.example]"}


async def test_the_wrapper_looks_like_the_function() -> None:
    protected = BreakerRegistry().per_key("web", key=host_of)(fetch)
    assert (protected.__name__, protected.__doc__) == ("fetch", "Fetches.")
    assert inspect.iscoroutinefunction(protected)
    assert inspect.isasyncgenfunction(BreakerRegistry().per_key("web", key=host_of)(lines))


async def test_a_breaker_can_protect_the_wrapper() -> None:
    registry, outer = BreakerRegistry(), CircuitBreaker("outer")
    protected = outer(registry.per_key("web", key=host_of)(fetch))
    await protected("a.example/1")
    assert outer.health()["success_total"] == 1


async def test_a_running_call_of_a_key_stays_under_its_name_while_others_evict_its_breaker() -> None:
    registry = BreakerRegistry(max_breakers=2)
    may_end = anyio.Event()

    @registry.per_key("web", key=str)
    async def wait(_: str) -> None:
        await may_end.wait()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait, "slow")
        await anyio.wait_all_tasks_blocked()
        for number in range(10):
            registry.breaker(f"{number}")
        running = registry.breaker("web[slow]")
        may_end.set()
    assert running.health()["success_total"] == 1


async def test_what_a_key_raises_reaches_the_caller_with_a_note() -> None:
    registry = BreakerRegistry()
    protected = registry.per_key("web", key=lambda url: url["host"])(fetch)
    with pytest.raises(TypeError, match="string indices") as caught:
        await protected("a.example/1")
    assert caught.value.__notes__ == ["raised by the key function of per_key('web'); the call was not started"]
    assert len(registry) == 0


async def test_an_error_that_a_key_raises_again_and_again_has_one_note_of_each_group() -> None:
    shared = KeyError("host")

    def key(_: str) -> str:
        raise shared

    registry = BreakerRegistry()
    for group in ("web", "web", "mail"):
        with pytest.raises(KeyError):
            await registry.per_key(group, key=key)(fetch)("a.example/1")
    assert shared.__notes__ == [
        f"raised by the key function of per_key({group!r}); the call was not started" for group in ("web", "mail")
    ]


async def test_a_breaker_around_it_does_not_count_a_key_that_is_no_string() -> None:
    protected = BreakerRegistry().per_key("web", key=lambda _: 5)(fetch)
    outer = CircuitBreaker(failure_threshold=1)
    with pytest.raises(MisuseError, match=r"the key of per_key\('web'\) must be a string, not 5"):
        await outer.call(protected, "a.example/1")
    assert outer.state is CircuitState.CLOSED


@pytest.mark.parametrize("key", [1, None, b"a", ["a"], ("a",)], ids=repr)
async def test_a_key_that_is_no_string_is_refused(key: object) -> None:
    protected = BreakerRegistry().per_key("web", key=lambda _: key)(fetch)
    with pytest.raises(TypeError, match=r"the key of per_key\('web'\) must be a string, not"):
        await protected("a.example/1")


@pytest.mark.parametrize("key", ["", "a.example:8080", "naïve", "a b", "x" * LONGEST_KEY, "a][b", "~", "a~b"])
def test_a_plain_key_is_part_of_the_name_unchanged(key: str) -> None:
    assert label(key) == key


@pytest.mark.parametrize("key", ["a\nb", "\x1b[31m", "\u202egnp.exe", "x" * 101, "\ud800", "x" * 10_000_000])
def test_a_key_that_is_long_or_hostile_is_bounded_and_printable_in_the_name(key: str) -> None:
    assert len(label(key)) <= LONGEST_KEY
    assert label(key).isprintable()
    assert label(key) == label(str(key))


def test_a_key_cannot_imitate_another_one() -> None:
    long = "x" * 200
    assert label(label(long)) != label(long)


@given(st.text(max_size=3), st.text(max_size=3))
def test_different_keys_have_different_names(one: str, other: str) -> None:
    assert (label(one) == label(other)) == (one == other)
    assert (label(one * 50) == label(other * 50)) == (one == other)


async def bad_key(url: str) -> str:
    return url


@pytest.mark.parametrize("key", [5, bad_key], ids=["no function", "coroutine function"])
def test_a_key_that_is_no_synchronous_function_is_refused(key: object) -> None:
    with pytest.raises(TypeError, match="key must be a synchronous function of the call's arguments"):
        BreakerRegistry().per_key("web", key=key)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        (5, TypeError, "name must be a string, not 5"),
        ("a[b]", ValueError, "name must be without brackets"),
        ("a]", ValueError, "name must be without brackets"),
    ],
)
def test_a_bad_name_of_a_group_is_refused(name: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        BreakerRegistry().per_key(name, key=host_of)


def test_what_cannot_be_decorated_is_refused() -> None:
    with pytest.raises(TypeError, match="decorates coroutine functions and async generator functions"):
        BreakerRegistry().per_key("web", key=host_of)(len)


async def test_two_functions_share_the_breakers_of_one_name() -> None:
    registry = BreakerRegistry()
    one = registry.per_key("web", key=host_of, failure_threshold=3)(fetch)
    other = registry.per_key("web", key=host_of)(lines)
    again = registry.per_key("web", key=host_of, failure_threshold=3)(fetch)
    await one("a.example/1")
    await again("a.example/1")
    assert [line async for line in other("a.example/1")] == ["a.example/1"]
    assert registry.breaker("web[a.example]").health()["success_total"] == 3
    assert registry.breaker("web[a.example]").failure_threshold == 3


def test_two_decorators_of_one_name_that_contradict_each_other_are_refused() -> None:
    registry = BreakerRegistry()
    registry.per_key("web", key=host_of, failure_threshold=3)
    with pytest.raises(
        ValueError, match=r"'web\[...\]' is already defined differently: failure_threshold is 3, not 4;"
    ):
        registry.per_key("web", key=host_of, failure_threshold=4)


def test_a_group_that_contradicts_one_of_its_breakers_is_refused() -> None:
    registry = BreakerRegistry()
    registry.breaker("web[a]", failure_threshold=2)
    registry.breaker("web[b]", failure_threshold=7)
    with pytest.raises(ValueError, match=r"'web\[a\]' is already defined differently: failure_threshold is 2, not 7;"):
        registry.per_key("web", key=host_of, failure_threshold=7)
    assert registry.breaker("web[c]").failure_threshold == 5


def test_a_breaker_that_contradicts_its_group_is_refused() -> None:
    registry = BreakerRegistry()
    registry.per_key("web", key=host_of, failure_threshold=7)
    with pytest.raises(ValueError, match=r"'web\[a\]' is already defined differently: failure_threshold is 7, not 2;"):
        registry.breaker("web[a]", failure_threshold=2)


def test_a_breaker_of_the_group_is_defined_by_the_group_however_it_is_created() -> None:
    registry = BreakerRegistry()
    registry.per_key("web", key=host_of, failure_threshold=7)
    assert registry.breaker("web[a]").failure_threshold == registry.breaker("web[a][b]").failure_threshold == 7
    assert registry.breaker("web").failure_threshold == registry.breaker("webs[a]").failure_threshold == 5


def test_a_breaker_that_was_added_or_is_configured_by_its_name_keeps_its_settings() -> None:
    registry = BreakerRegistry.from_config({"breakers": {"web[a]": {"failure_threshold": 3}}})
    registry.add(CircuitBreaker("web[b]", failure_threshold=4))
    registry.per_key("web", key=host_of, failure_threshold=7)
    assert [registry.breaker(f"web[{key}]").failure_threshold for key in "abc"] == [3, 4, 7]
