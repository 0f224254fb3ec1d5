"""A breaker with its membership in a fleet, and a test in the place of the worker."""

import gc
from contextlib import suppress

import anyio
import anyio.lowlevel

from recloser import CircuitBreaker, CircuitState
from recloser._breaker.fleet_port import FleetPort
from recloser.fleet._membership import Membership
from recloser.fleet._requests import RequestSource, StoreRequest
from recloser.fleet.store import Acquire, Code, Reply, SharedState
from recloser.testing import ManualClock
from tests.fleet.breakers.kit import NAME, DownError, answer, fail

OVER = SharedState(CircuitState.OPEN, generation=5, remaining_us=0, trips=1)


def reply(shared: SharedState, code: Code = Code.DONE, problem: str | None = None) -> Reply:
    return Reply(code, shared, 0, problem)


def granted(token: int) -> SharedState:
    return SharedState(CircuitState.HALF_OPEN, generation=token, remaining_us=5_000_000, trips=1)


async def let_others_run() -> None:
    """Lets the other tasks go on until all of them wait, without any time passing."""
    for _ in range(5):
        await anyio.lowlevel.checkpoint()


class IdleWorker:
    """A worker that sends nothing by itself."""

    def __init__(self) -> None:
        self.identity = "ada"
        self.quorum = 2
        self.lease_seconds = 5.0
        self.is_reachable = self.is_in_loop = True
        self.op_timeout_seconds = 0.1
        self.clock = ManualClock()
        self.scheduled = 0
        self.renewed: list[tuple[RequestSource, int]] = []
        self._sequence = 0

    def now(self) -> float:
        return self.clock()

    def not_after_us(self) -> int:
        return 0

    def next_sequence(self) -> int:
        self._sequence += 1
        return self._sequence

    def fraction(self) -> float:
        return 0.5

    def schedule(self, source: RequestSource, *, urgent: bool) -> None:
        assert source.has_requests or not urgent
        self.scheduled += 1 + urgent

    def renew(self, source: RequestSource, token: int, seconds: float) -> None:
        assert seconds > 0
        self.renewed.append((source, token))


class Member:
    """A breaker, its membership, and a worker that sends nothing by itself."""

    def __init__(self, **options: object) -> None:
        self.worker = IdleWorker()
        settings = {"failure_threshold": 1, "reset_timeout_seconds": 10.0, **options}
        if "trip_when" in options:
            del settings["failure_threshold"]
        self.breaker: CircuitBreaker | None = CircuitBreaker(NAME, clock=self.worker.clock, **settings)  # type: ignore[arg-type]
        engine = self.breaker.engine
        self.membership = Membership(engine, self.worker)
        engine.port = FleetPort(engine, self.membership)

    @property
    def state(self) -> str:
        assert self.breaker is not None
        return self.breaker.get_state()

    def work(self) -> list[StoreRequest]:
        return self.membership.next_requests(self.worker.now())

    def request(self, kind: type) -> StoreRequest:
        """Returns the next request, which must be of this kind."""
        (request,) = self.work()
        assert isinstance(request.operation, kind)
        return request

    async def lease(self, token: int) -> None:
        """Has a caller ask for the lease, and the store grant it."""
        self.membership.apply(OVER)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.membership.request_lease)
            await let_others_run()
            self.request(Acquire).done(reply(granted(token)))

    async def call(self, *, down: bool) -> None:
        assert self.breaker is not None
        with suppress(DownError):
            await self.breaker.call(fail if down else answer)

    def forget(self) -> None:
        self.breaker = None
        gc.collect()
        assert self.membership.engine is None
