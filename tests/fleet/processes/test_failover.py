"""A stale replica takes over: the workers know a newer state, and restore it."""

import socket
from pathlib import Path

import pytest

from tests.fleet.processes.kit import bring_to, check_as_before, crew_of, share_of, until
from tests.fleet.proxy import proxy_to
from tests.fleet.server import RedisServer

pytestmark = pytest.mark.anyio
LOST = {"open": ("closed", "open"), "lease": ("open", "half_open"), "close": ("open", "closed")}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


@pytest.mark.parametrize("lost", share_of(*LOST))
async def test_a_replica_that_lags_takes_over(tmp_path: Path, lost: str) -> None:
    seen, missed = LOST[lost]
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        folder.mkdir()
    port = free_port()
    with RedisServer(folders[0], "--port", str(port)) as first, RedisServer(folders[1]) as second:
        with second.client() as client:
            client.replicaof("127.0.0.1", str(port))
            await until(lambda: client.info("replication")["master_link_status"] == "up", "that it follows")
        async with (
            proxy_to(first.socket) as proxy,
            crew_of(3, f"redis://127.0.0.1:{proxy.port}", probe_timeout_seconds=1.0) as crew,
        ):
            await bring_to(crew, seen)
            second.freeze()
            if missed == "closed":
                await crew.close_all()
            else:
                await bring_to(crew, missed)
            first.kill()
            second.thaw()
            with second.client() as client:
                client.replicaof("NO", "ONE")
            proxy.target = second.socket
            proxy.cut()
            await check_as_before(crew)
