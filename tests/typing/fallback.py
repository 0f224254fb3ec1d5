"""The types of fallbacks: each line must be accepted by mypy --strict and by pyright strict."""

# pyright: strict

from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable
from typing import Protocol, assert_type

from recloser import (
    Answer,
    CircuitBreaker,
    Constant,
    Fallback,
    LastKnownGood,
    NoAnswer,
    Pipeline,
    Retry,
    Timeout,
)
from recloser.errors import FallbackExhaustedError

breaker = CircuitBreaker("users")


async def fetch(user_id: int, *, fields: str = "") -> str:
    return f"{user_id} {fields}"


async def replica(user_id: int, *, fields: str = "") -> str:
    return f"{user_id} {fields}, from the replica"


def cached(user_id: int, *, fields: str = "") -> str:
    return f"{user_id} {fields}, from the cache"


async def score(user_id: int) -> float:
    return float(user_id)


def total(numbers: list[int]) -> int:
    return sum(numbers)


def is_down(error: BaseException) -> bool:
    return isinstance(error, OSError)


Fallback(cached, on=OSError, name="users")
Fallback(cached, on=(OSError, TimeoutError))
Fallback(cached, on=lambda error: "down" in str(error))
Fallback(cached, on=is_down)
Fallback(cached, on=breaker.is_failure)
by_hand = Fallback(replica, cached, LastKnownGood(60, 100), Constant("guest"))(fetch)
nested = Fallback(by_hand, Constant("guest"))(breaker(fetch))


@Fallback(replica, LastKnownGood(60, 100, key=str), Constant("guest"))
@breaker
async def guarded(user_id: int) -> str:
    return str(user_id)


@Fallback(Constant(None))
async def optional(user_id: int) -> str:
    """Falls back to an answer of another type."""
    return str(user_id)


@Fallback(cached)
async def synchronous(user_id: int) -> str:
    """Falls back to a plain function."""
    return str(user_id)


@Fallback(LastKnownGood(60, 100))
async def remembered(user_id: int) -> str:
    """Falls back to what it said itself."""
    return str(user_id)


@Fallback(Constant(0))
async def of_nothing() -> int:
    return 1


@Fallback(Constant(0))
async def of_anything(value: object) -> int:
    """Has a first argument that could be a class."""
    return len(repr(value))


class Source(Protocol):
    async def read(self, key: str) -> bytes: ...


@Fallback(Constant(0))
async def of_a_function(read: Callable[[str], Awaitable[bytes]], key: str) -> int:
    """Has a first argument that a class could stand for."""
    return len(await read(key))


@Pipeline(Fallback(Constant(0)))
async def of_a_protocol(source: Source, key: str) -> int:
    """Has a first argument that a class could stand for."""
    return len(await source.read(key))


@Fallback(Constant(b""))
async def of_a_hashable(key: Hashable) -> bytes:
    return repr(key).encode()


class Client:
    @Fallback(Constant(b""))
    async def fetch(self, key: str) -> bytes:
        return key.encode()

    @classmethod
    @Fallback(Constant(None))
    async def load(cls, key: str) -> bytes:
        return key.encode()

    @Fallback(Constant(None))
    @classmethod
    async def load_above(cls, key: str) -> bytes:
        return key.encode()

    @Fallback(Constant(None))
    @staticmethod
    async def head_above(key: str) -> bytes:
        return key.encode()

    @staticmethod
    @Fallback(Constant(None))
    async def head(key: str) -> bytes:
        return key.encode()


async def read_key(key: str) -> bytes:
    return key.encode()


async def decorated(file: Source) -> None:
    assert_type(await by_hand(7, fields="name"), str)
    assert_type(await nested(7), str)
    assert_type(await guarded(user_id=7), str)
    assert_type(await guarded.detailed(7), Answer[str])
    assert_type(await optional(7), str | None)
    assert_type(await optional.detailed(user_id=7), Answer[str | None])
    assert_type(await synchronous(7), str)
    assert_type(await remembered(7), str)
    assert_type(await remembered.detailed(7), Answer[str])
    assert_type(await of_nothing.detailed(), Answer[int])
    assert_type(await of_anything(value=7), int)
    assert_type(await of_a_function.detailed(read=read_key, key="key"), Answer[int])
    assert_type(await of_a_protocol.detailed(source=file, key="key"), Answer[int])
    assert_type(await of_a_hashable.detailed(key="key"), Answer[bytes])
    assert_type(await of_anything.detailed(7), Answer[int])


async def methods(client: Client) -> None:
    assert_type(await client.fetch("key"), bytes)
    assert_type(await client.fetch(key="key"), bytes)
    assert_type(await Client.fetch.detailed(client, "key"), Answer[bytes])
    assert_type(await Client.load("key"), bytes | None)
    assert_type(await Client.load_above("key"), bytes | None)
    assert_type(await Client.head_above("key"), bytes | None)
    assert_type(await client.load(key="key"), bytes | None)
    assert_type(await Client.head("key"), bytes | None)
    assert_type(await Client.head.detailed("key"), Answer[bytes | None])


async def called() -> None:
    assert_type(await Fallback(replica).call(score, 7), float | str)
    assert_type(await Fallback(Constant(None)).call(total, [7]), int | None)
    assert_type(await Fallback(LastKnownGood(60, 100)).call(fetch, 7, fields="name"), str)


async def read() -> None:
    answer = await guarded.detailed(7)
    assert_type(answer.value, str)
    assert_type(answer.source, str)
    assert_type(answer.degraded, bool)
    assert_type(answer.errors, tuple[tuple[str, Exception], ...])
    assert_type(answer.age_seconds, float | None)
    assert_type(guarded.sources, tuple[str, ...])
    assert_type(guarded.health()["exhausted_total"], int)
    assert_type(Fallback(cached).health()["links"]["primary"]["answers_total"], int)
    assert_type(Fallback(cached).name, str)
    try:
        await guarded(7)
    except FallbackExhaustedError as error:
        assert_type(error.sources, tuple[str, ...])
    except NoAnswer:
        pass


# In a pipeline, and under other policies

pipeline = Pipeline(Fallback(LastKnownGood(60, 100), Constant("guest")), breaker, Timeout(2))
under_a_policy = Retry(3)(guarded)
under_a_breaker = breaker(guarded)


@pipeline
async def piped(user_id: int, *, fields: str = "") -> str:
    return f"{user_id} {fields}"


@pipeline
async def piped_anything(value: object) -> str:
    return repr(value)


@Pipeline(breaker)
async def stream(count: int) -> AsyncGenerator[bytes, None]:
    for _ in range(count):
        yield b""


class PipedClient:
    @pipeline
    async def fetch(self, key: str) -> str:
        return key

    @classmethod
    @pipeline
    async def load(cls, key: str) -> str:
        return key

    @staticmethod
    @pipeline
    async def head(key: str) -> str:
        return key

    @classmethod
    @Pipeline(breaker)
    async def pages(cls, count: int) -> AsyncGenerator[bytes, None]:
        for _ in range(count):
            yield b""


async def composed(client: PipedClient) -> None:
    assert_type(await piped(7, fields="name"), str)
    assert_type(await piped.detailed(7, fields="name"), Answer[str])
    assert_type(await piped_anything.detailed(value=7), Answer[str])
    assert_type(await client.fetch("key"), str)
    assert_type(await PipedClient.fetch.detailed(client, "key"), Answer[str])
    assert_type(await PipedClient.load("key"), str)
    assert_type(await client.load(key="key"), str)
    assert_type(await PipedClient.head.detailed("key"), Answer[str])
    assert_type(await under_a_policy.detailed(7), Answer[str])
    assert_type(await under_a_breaker.detailed(7), Answer[str])
    async for page in stream(3):
        assert_type(page, bytes)
    async for page in PipedClient.pages(3):
        assert_type(page, bytes)


def passed(fn: Callable[[int], object]) -> None: ...


passed(guarded)
passed(piped)
