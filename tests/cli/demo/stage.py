"""What the tests of the demo share: short phases, an upstream that serves, an experiment whose time stands still."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from http import HTTPStatus
from random import Random

import httpx

from recloser.cli.demo.experiment import Experiment
from recloser.cli.demo.lane import Order
from recloser.cli.demo.plan import Fault, Phase, Plan
from recloser.cli.demo.upstream import GENERATION_HEADER, HOST, Upstream
from recloser.testing import ManualClock

HEALTHY = Phase(name="healthy", seconds=0.3, latency_seconds=0.001)
FAILING = Phase(name="failing", seconds=0.2, replies=(HTTPStatus.SERVICE_UNAVAILABLE,), latency_seconds=0.001)
RESETTING = Phase(name="failing", seconds=0.2, replies=(Fault.RESET,))
HANGING = Phase(name="hanging", seconds=0.6, replies=(Fault.HANG,))


def script(*phases: Phase, callers: int = 10, failure_threshold: int = 5) -> Plan:
    return Plan(
        phases=phases,
        callers=callers,
        pause_seconds=0.05,
        timeout_seconds=0.3,
        failure_threshold=failure_threshold,
        reset_timeout_seconds=0.1,
        orders=3,
        memory_ttl_seconds=0.4,
        bin_seconds=0.1,
    )


# A probe may begin just before the upstream is back: its timeout and one more reset timeout fit into the last phase.
OUTAGE = script(HEALTHY, FAILING, HANGING, replace(HEALTHY, seconds=1.0))


@asynccontextmanager
async def serving(phase: Phase) -> AsyncGenerator[tuple[Upstream, httpx.AsyncClient]]:
    upstream = Upstream(phase, random=Random(1), clock=ManualClock())
    async with (
        upstream.serving() as port,
        httpx.AsyncClient(base_url=f"http://{HOST}:{port}", trust_env=False, timeout=5) as client,
    ):
        yield upstream, client


class Rehearsal:
    """An experiment that is played call by call, on a clock that only the test moves."""

    def __init__(self, plan: Plan = OUTAGE) -> None:
        self.clock = ManualClock()
        self.experiment = Experiment(plan, seed=1, clock=self.clock)

    async def call(
        self, *, protected: bool, error: Exception | None = None, seconds: float = 0.0, number: int = 1
    ) -> None:
        lane = self.experiment.protected if protected else self.experiment.bare

        async def fetch(number: int) -> Order:
            self.experiment.upstream.record(lane.name, lane.headers.get(GENERATION_HEADER, ""))
            self.clock.advance(seconds)
            if error is not None:
                raise error
            return {"order": str(number)}

        await lane.attempt(fetch, number)
