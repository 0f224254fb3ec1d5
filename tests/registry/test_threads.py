"""Reading a registry and creating breakers from threads."""

import logging
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from recloser import BreakerRegistry
from tests.registry.kit import fail

PATIENCE_SECONDS = 60.0
"""How long a thread may take, so that a failing test ends."""


@pytest.fixture(autouse=True)
def eager_switching() -> Iterator[None]:
    """Makes threads interrupt each other as often as possible, and none of them wait for the log."""
    logging.disable()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)
    logging.disable(logging.NOTSET)


def run_while(work: Callable[[], object], reader: Callable[[], object], readers: int = 3) -> None:
    """Runs work in one thread and readers in others until it is done; raises what any of them raised."""
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            reader()

    with ThreadPoolExecutor(readers + 1) as pool:
        reading = [pool.submit(read) for _ in range(readers)]
        working = pool.submit(work)
        try:
            working.result(PATIENCE_SECONDS)
        finally:
            done.set()
        for future in reading:
            future.result(PATIENCE_SECONDS)


def churn(registry: BreakerRegistry, hosts: int = 3_000) -> None:
    for number in range(hosts):
        fail(registry, f"host-{number}", times=number % 3)


def test_reading_is_safe_while_breakers_come_and_go() -> None:
    registry = BreakerRegistry(max_breakers=20, failure_threshold=2)

    def read() -> None:
        assert len(registry.health()["breakers"]) <= 100
        assert {breaker.name for breaker in registry}
        assert "host-0" in registry or registry.get("host-0") is None
        assert len(registry) > 0

    registry.breaker("first")
    run_while(lambda: churn(registry), read)


def test_getting_a_breaker_in_use_returns_the_same_object_while_others_come_and_go() -> None:
    registry = BreakerRegistry(max_breakers=2)
    held = registry.breaker("held")

    def get() -> None:
        assert registry.breaker("held") is held

    run_while(lambda: churn(registry, 1_000), get)


def test_a_name_returns_one_object_whichever_threads_create_it() -> None:
    registry = BreakerRegistry()
    barrier = threading.Barrier(4)

    def make(_: int) -> list[object]:
        barrier.wait(PATIENCE_SECONDS)
        return [registry.breaker(f"{number}") for number in range(500)]

    with ThreadPoolExecutor(4) as pool:
        first, *others = pool.map(make, range(4))
    assert len(registry) == 500
    for other in others:
        assert all(one is same for one, same in zip(first, other, strict=True))


def test_listening_while_breakers_are_made_reaches_all_of_them() -> None:
    registry, heard = BreakerRegistry(), []

    def make() -> None:
        for number in range(500):
            registry.breaker(f"{number}")

    with ThreadPoolExecutor(2) as pool:
        making = pool.submit(make)
        registry.subscribe(heard.append)
        making.result(PATIENCE_SECONDS)
    for breaker in registry:
        breaker.try_acquire_nowait().succeed()
    assert len(heard) == 500
