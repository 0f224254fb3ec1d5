"""The two lanes to the upstream, and the record of what callers got in each of them."""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

import httpx

from recloser import CircuitBreaker, Constant, Fallback, LastKnownGood
from recloser.cli.demo.plan import Plan
from recloser.cli.demo.upstream import GENERATION_HEADER

__all__ = ["FAULTS", "AnswerSource", "Call", "Fetch", "Lane", "Order", "ProtectedLane"]

FAULTS = (httpx.TransportError, httpx.HTTPStatusError)
Order = dict[str, object]
Fetch = Callable[[int], Awaitable[Order]]
_UNKNOWN: Order = {"status": "unknown"}


class AnswerSource(StrEnum):
    """What a caller got; answers are named after their source in the fallback."""

    SERVICE = "orders_service"
    MEMORY = "last_known_good"
    DEFAULT = "constant"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Call:
    """One finished call.

    Attributes:
        at: When it ended, in seconds on the demo's clock.
        outcome: What the caller got.
        seconds: How long the caller waited for it.
        age_seconds: How old the answer was, if it came from memory.
    """

    at: float
    outcome: AnswerSource
    seconds: float
    age_seconds: float | None = None


class Lane:
    """A group of callers that call the upstream directly, and the record of what they saw.

    `calls` contains every finished call, `counts` how many there were of each outcome, and `lost_seconds` the time that
    callers waited for calls that failed.

    Args:
        name: The first segment of the path of the lane's requests.
        clock: The demo's clock, in seconds.

    Attributes:
        sources: Where answers can come from.
    """

    sources: tuple[AnswerSource, ...] = (AnswerSource.SERVICE,)

    def __init__(self, name: str, *, clock: Callable[[], float]) -> None:
        self.name = name
        self.calls: list[Call] = []
        self.counts: Counter[AnswerSource] = Counter()
        self.lost_seconds: float = 0.0
        self._clock = clock

    @property
    def headers(self) -> dict[str, str]:
        """The headers of a request."""
        return {}

    async def attempt(self, fetch: Fetch, number: int) -> None:
        """Ask for one order and record the outcome.

        Args:
            fetch: Gets an order from the upstream.
            number: The number of the order.
        """
        began = self._clock()
        try:
            outcome, age_seconds = await self._ask(fetch, number)
        except FAULTS:
            outcome, age_seconds = AnswerSource.FAILURE, None
        ended = self._clock()
        self.calls.append(Call(ended, outcome, ended - began, age_seconds))
        self.counts[outcome] += 1
        if outcome is AnswerSource.FAILURE:
            self.lost_seconds += ended - began

    async def _ask(self, fetch: Fetch, number: int) -> tuple[AnswerSource, float | None]:
        """Return where the answer came from and, if it came from memory, its age in seconds."""
        await fetch(number)
        return AnswerSource.SERVICE, None


class ProtectedLane(Lane):
    """A group of callers with a breaker in front of the upstream, and a memory and a default to fall back to.

    Only rejected calls fall back. The failures that open the breaker reach their callers.

    Args:
        name: The first segment of the path of the lane's requests.
        clock: The demo's clock, in seconds.
        breaker: The breaker that protects the upstream.
        plan: Contains how many orders are remembered, and for how long.
    """

    sources: tuple[AnswerSource, ...] = (AnswerSource.SERVICE, AnswerSource.MEMORY, AnswerSource.DEFAULT)

    def __init__(self, name: str, *, clock: Callable[[], float], breaker: CircuitBreaker, plan: Plan) -> None:
        super().__init__(name, clock=clock)
        self._breaker = breaker
        fallback = Fallback(
            LastKnownGood(plan.memory_ttl_seconds, plan.orders, key=_number, clock=clock),
            Constant(_UNKNOWN),
        )
        self._fetch = fallback(breaker(orders_service))

    @property
    def headers(self) -> dict[str, str]:
        """The breaker's generation, read in the step that admits the call: it is the generation of that call."""
        return {GENERATION_HEADER: str(self._breaker.generation)}

    async def _ask(self, fetch: Fetch, number: int) -> tuple[AnswerSource, float | None]:
        answer = await self._fetch.detailed(fetch, number)
        return AnswerSource(answer.source), answer.age_seconds


async def orders_service(fetch: Fetch, number: int) -> Order:
    """Return an order from the upstream; the name of this function is the source of its answers."""
    return await fetch(number)


def _number(_: Fetch, number: int) -> int:
    """Return the key of a remembered order: only its number, not the function that gets it."""
    return number
