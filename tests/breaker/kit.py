"""What the tests of the shell share: a scripted dependency, and short ways into each state."""

import gc
import math
from threading import Thread
from typing import NoReturn

import anyio
import pytest

from recloser import CircuitBreaker, CircuitBreakerOpenError, Event, Permit, StateChanged
from recloser._core.usual import FIRST_SAMPLES
from recloser.testing import ManualClock

RESET_SECONDS = 60.0
BACKENDS = ("asyncio", "trio")


class DependencyError(Exception):
    """Raised by a dependency that is down."""


class Dependency:
    """A dependency whose calls end when the test says so."""

    def __init__(self) -> None:
        self.called = anyio.Event()
        self.may_end = anyio.Event()

    async def call(self, error: BaseException | None = None) -> str:
        self.called.set()
        await self.may_end.wait()
        if error is not None:
            raise error
        return "answer"


async def answer(*_: object, **__: object) -> str:
    return "answer"


async def fail(error: BaseException | None = None) -> NoReturn:
    raise DependencyError("down") if error is None else error


async def hang(clock: ManualClock, seconds: float = 1.0) -> None:
    """Lets time pass, and never ends by itself."""
    clock.advance(seconds)
    await anyio.sleep_forever()


def make(clock: ManualClock, **options: object) -> CircuitBreaker:
    """Makes a breaker that opens at the first failure, for a minute of the given clock."""
    defaults = {} if "trip_when" in options else {"failure_threshold": 1}
    return CircuitBreaker("payments", **{"reset_timeout_seconds": RESET_SECONDS, "clock": clock, **defaults, **options})


def make_plain(clock: ManualClock, **options: object) -> CircuitBreaker:
    """Makes a breaker that never asks how long a call took, unless an option makes it: it ignores what is cut off."""
    return make(clock, **{"overdue_after_seconds": math.inf, **options})


async def take_first_samples(breaker: CircuitBreaker) -> None:
    """Makes as many calls as a new breaker takes as samples of how long its calls take."""
    for _ in range(FIRST_SAMPLES):
        await breaker.call(answer)


async def fail_once(breaker: CircuitBreaker) -> None:
    with pytest.raises(DependencyError):
        await breaker.call(fail)


async def make_open(clock: ManualClock, **options: object) -> CircuitBreaker:
    """Makes a breaker that has just opened."""
    breaker = make(clock, **options)
    await fail_once(breaker)
    return breaker


async def make_ready(clock: ManualClock, **options: object) -> CircuitBreaker:
    """Makes an open breaker whose next call is a probe."""
    breaker = await make_open(clock, **options)
    clock.advance(RESET_SECONDS)
    return breaker


async def make_probing(clock: ManualClock, **options: object) -> tuple[CircuitBreaker, Permit]:
    """Makes a half-open breaker whose first probe is running."""
    breaker = await make_ready(clock, **options)
    return breaker, await breaker.acquire()


def totals(breaker: CircuitBreaker) -> dict[str, int]:
    """Returns the totals that are not 0."""
    health = breaker.health()
    return {key.removesuffix("_total"): value for key, value in health.items() if key.endswith("_total") and value}


def in_shadow(breaker: CircuitBreaker) -> tuple[int, int, int]:
    """Returns how many calls shadow mode has let through, and how many of them failed and succeeded."""
    shadow = breaker.health()["shadow"]
    return shadow["would_reject"], shadow["failed"], shadow["succeeded"]


def admits_a_probe(breaker: CircuitBreaker) -> bool:
    """Returns whether the next call is a probe; that call is released at once."""
    permit = breaker.try_acquire_nowait()
    if permit is None:
        return False
    permit.ignore()
    return permit.is_probe


def drop(box: list[object]) -> None:
    """Drops what is in the box, and collects garbage."""
    box.clear()
    gc.collect()


def drop_in_threads(*boxes: list[object]) -> None:
    """Drops what is in each box, each in a thread of its own."""
    threads = [Thread(target=box.clear) for box in boxes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def names(events: list[Event]) -> list[str]:
    return [f"{e.old} -> {e.new}" if isinstance(e, StateChanged) else type(e).__name__ for e in events]


async def live_through_everything(breaker: CircuitBreaker, clock: ManualClock) -> None:
    """Fails, is rejected, fails as a probe, succeeds as a probe."""
    await breaker.call(answer)
    await fail_once(breaker)
    with pytest.raises(CircuitBreakerOpenError):
        await breaker.call(answer)
    clock.advance(60)
    await fail_once(breaker)
    clock.advance(60)
    await breaker.call(answer)


EVERYTHING = [
    "CallSucceeded",
    "CallFailed",
    "closed -> open",
    "CallRejected",
    "open -> half_open",
    "ProbeAdmitted",
    "CallFailed",
    "half_open -> open",
    "open -> half_open",
    "ProbeAdmitted",
    "CallSucceeded",
    "half_open -> closed",
]
