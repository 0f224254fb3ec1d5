"""A server of the SDK that the argument names, by stdio: its one tool has a dependency that is down."""

import importlib
import sys

import anyio.lowlevel

from recloser import BreakerRegistry
from recloser.integrations.mcp import add_health_resource, explain_rejections

if __name__ == "__main__":
    sdk = importlib.import_module(f"tests.integrations.sdk_{sys.argv[1]}")
    registry = BreakerRegistry(failure_threshold=1)
    server = sdk.Server("tested")
    add_health_resource(server, registry)

    @server.tool()
    @explain_rejections
    @registry.breaker("upstream")
    async def fetch() -> str:
        await anyio.lowlevel.checkpoint()
        raise ConnectionError

    sdk.serve(server)
