"""Serve over stdio: `python -m examples.mcp_server`; see `--help`."""

import argparse
import logging
import os
import tempfile
from contextlib import ExitStack
from pathlib import Path

import anyio
import httpx

from .breakers import Breakers
from .database import opened
from .server import make_server
from .sources import Sources
from .upstream import Upstream

DATABASE = "RECLOSER_EXAMPLE_DATABASE"


def main() -> None:
    """Start the services that the options don't name, and serve until standard input ends."""
    options = parse()
    logging.basicConfig(level=logging.INFO)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    with ExitStack() as stack:
        upstream = Upstream(options.down_after, options.down_for)
        url = options.upstream or stack.enter_context(upstream.serving())
        place = options.database or str(Path(stack.enter_context(tempfile.TemporaryDirectory())) / "example.db")
        anyio.run(serve, url, place, Breakers(options.api_reset_seconds, options.database_reset_seconds))


async def serve(url: str, place: str, breakers: Breakers) -> None:
    """Serve over stdio."""
    async with (
        httpx.AsyncClient(base_url=url, timeout=5) as client,
        opened(place, breakers.database) as database,
    ):
        await make_server(breakers, Sources(breakers, client, database)).run_stdio_async()


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="examples.mcp_server", description=__doc__)
    parser.add_argument("--upstream", help="URL of the HTTP services; by default, the example starts its own")
    parser.add_argument("--down-after", type=int, help="the example's own HTTP services fail from this request on")
    parser.add_argument("--down-for", type=int, default=20, help="for this many requests")
    parser.add_argument(
        "--database",
        default=os.environ.get(DATABASE),
        help=f"SQLite file, created if missing, or postgresql:// URL; by default ${DATABASE}, or a temporary file",
    )
    parser.add_argument("--api-reset-seconds", type=float, default=60.0)
    parser.add_argument("--database-reset-seconds", type=float, default=30.0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
