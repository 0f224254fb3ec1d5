"""What the tests of the policies share: a dependency that counts its calls and does as it is told."""

import asyncio
import selectors
from collections.abc import Sequence

import anyio
import trio.testing

from recloser import CircuitBreaker


class DownError(Exception):
    """What a dependency that is down raises."""


class Dependency:
    """Answers its n-th call with the n-th item: raises exceptions, returns the rest; the last item goes on for ever.

    Args:
        answers: The items.
        seconds: How long each call takes.
    """

    def __init__(self, *answers: object, seconds: float = 0.0) -> None:
        self.answers = answers or ("answer",)
        self.seconds = seconds
        self.started_at: list[float] = []
        self.running = 0
        self.most_running = 0

    @property
    def calls(self) -> int:
        return len(self.started_at)

    async def ask(self, *_: object) -> object:
        answer = self.answers[min(self.calls, len(self.answers) - 1)]
        self.started_at.append(anyio.current_time())
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await anyio.sleep(self.seconds)
        finally:
            self.running -= 1
        if isinstance(answer, BaseException):
            raise answer
        return answer


def breaker(**options: object) -> CircuitBreaker:
    """Makes a breaker on the event loop's time that opens at the first failure, for a minute."""
    return CircuitBreaker("payments", **{"failure_threshold": 1, "clock": anyio.current_time, **options})


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Makes an event loop that is closed while tasks are pending, and does not complain of it."""
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)
    return loop


class JumpingSelector(selectors.SelectSelector):
    """Lets no time pass: it adds the seconds that an event loop wants to wait to `now`."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "every task waits, and no timer is set"
        self.now += max(timeout, 0)
        return super().select(0)


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """asyncio's own event loop, which runs callbacks in the usual order, on virtual time."""

    def __init__(self) -> None:
        self._jumping = JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


def in_usual_order(backend: str) -> tuple[str, dict[str, object]]:
    """Returns what anyio's `anyio_backend` fixture needs: virtual time, with callbacks in the backend's own order."""
    if backend == "trio":
        return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}
    return "asyncio", {"loop_factory": VirtualTimeLoop}


def totals(*breakers: CircuitBreaker) -> Sequence[tuple[int, int, int]]:
    """Returns of each breaker the failures, the ignored ends and the cancellations."""
    return [
        (health["failure_total"], health["ignored_total"], health["cancelled_total"])
        for health in (each.health() for each in breakers)
    ]
