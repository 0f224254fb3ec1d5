"""Times requests of an httpx client to a server on loopback, with and without breakers.

The server runs in its own process: `python -m benchmarks.transport`.
"""

import asyncio
import importlib
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from statistics import median
from typing import Any

LIBRARIES = ("httpx", "httpx2")
REQUESTS_PER_BATCH = 40
_RESPONSE = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nok"


async def percent_of_a_request(library: str, rounds: int) -> float:
    """Returns what a breaker per origin adds to the client's CPU time for one request, in percent.

    Both clients alternate. The figure is the median of what the breakers add in each round.

    Args:
        library: One of `LIBRARIES`.
        rounds: How often each client makes a batch of requests.
    """
    web = importlib.import_module(library)
    adapter = importlib.import_module(f"recloser.integrations.{library}")
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(_serving())
        bare = await stack.enter_async_context(web.AsyncClient(transport=web.AsyncHTTPTransport()))
        guarded = await stack.enter_async_context(web.AsyncClient(transport=adapter.BreakerTransport()))
        added = []
        for turn in range(rounds + 1):
            first, second = (bare, guarded) if turn % 2 else (guarded, bare)
            spent = {client: await _batch(client, url) for client in (first, second)}
            added.append(100 * (spent[guarded] / spent[bare] - 1))
    return median(added[1:])  # the first one connects


async def _batch(client: Any, url: str) -> int:  # noqa: ANN401 - of httpx or httpx2
    started = time.thread_time_ns()
    for _ in range(REQUESTS_PER_BATCH):
        await client.get(url)
    return time.thread_time_ns() - started


@asynccontextmanager
async def _serving() -> AsyncGenerator[str]:
    command = [sys.executable, "-m", "benchmarks.transport"]
    server = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        if server.stdout is None:
            raise RuntimeError("the server has no output")
        yield f"http://127.0.0.1:{int(await server.stdout.readline())}/"
    finally:
        server.kill()
        await server.wait()


class _Server(asyncio.Protocol):
    """Answers requests without a body."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        if data.endswith(b"\r\n\r\n"):
            self._transport.write(_RESPONSE)


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Server, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve())
