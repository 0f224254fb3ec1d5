"""What the dashboard sends about a fleet: whether it is reachable, and who runs a probe."""

import anyio
import pytest
import trio.testing

from recloser.dashboard import Dashboard
from tests.dashboard.kit import ask, connected
from tests.fleet.breakers.kit import NAME, make_probing, new_server, process, running, settle
from tests.fleet.breakers.virtual_time import VirtualLoop

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, object]]:
    """Time goes from timer to timer, as the workers of a fleet want it."""
    if request.param == "trio":
        return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}
    return "asyncio", {"loop_factory": VirtualLoop}


async def test_all_processes_say_who_runs_the_probe() -> None:
    server = new_server()
    one, other = process(server, 1), process(server, 2)
    async with running(one, other):
        async with connected(Dashboard(other.registry)) as client:
            snapshot = await client.wait_for_event()
            assert snapshot.data["fleet"] == {
                "connected": True,
                "problem": None,
                "worker": other.fleet.status()["worker"],
                "probes": {},
            }
        permit = await make_probing([one, other])
        status = (await ask(Dashboard(other.registry), "/status.json")).json()
        assert status["fleet"]["probes"] == {NAME: one.fleet.status()["worker"]}
        permit.succeed()


async def test_an_unreachable_fleet_is_an_update_though_no_breaker_changes() -> None:
    server = new_server()
    one = process(server)
    async with running(one), connected(Dashboard(one.registry)) as client:
        assert (await client.wait_for_event()).data["fleet"]["connected"]
        await settle(2)
        server.stop()
        with anyio.fail_after(60):
            while (update := await client.wait_for_event()).data["fleet"]["connected"]:
                pass
        assert update.data["fleet"]["problem"]
