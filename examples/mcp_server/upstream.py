"""The HTTP services that the tools call: a real server on loopback that fails on command."""

import json
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import cast

HOST = "127.0.0.1"
LONGEST_HOLD_SECONDS = 10.0


class Hold:
    """Delays the answer to one request, so that others can arrive in the meantime."""

    def __init__(self) -> None:
        self.arrived = Event()
        self.released = Event()

    def wait(self) -> None:
        """Wait until the request is released."""
        self.arrived.set()
        self.released.wait(LONGEST_HOLD_SECONDS)


class Upstream(ThreadingHTTPServer):
    """Answers `GET /<service>/<anything>` with JSON, or with 503 while the service is down.

    Args:
        down_after: From this request on, counted over all services, everything is down; None means never.
        down_for: After this many more requests, everything is up again.
    """

    daemon_threads = True

    def __init__(self, down_after: int | None = None, down_for: int = 0) -> None:
        super().__init__((HOST, 0), _Handler)
        self.down: set[str] = set()
        self.requests = 0
        self.counts = Counter[str]()
        self._holds: dict[str, Hold] = {}
        self._outage = range(0) if down_after is None else range(down_after, down_after + down_for)

    @property
    def url(self) -> str:
        """The address that it listens on."""
        return f"http://{HOST}:{self.server_port}"

    def is_down(self, service: str) -> bool:
        """Count a request and return whether it fails."""
        self.requests += 1
        self.counts[service] += 1
        return service in self.down or self.requests - 1 in self._outage

    def hold_next(self, service: str) -> Hold:
        """Make the next request to a service wait until it is released."""
        hold = self._holds[service] = Hold()
        return hold

    def let_wait(self, service: str) -> None:
        """Wait if this request is on hold."""
        if hold := self._holds.pop(service, None):
            hold.wait()

    @contextmanager
    def serving(self) -> Generator[str]:
        """Serve in a thread and yield the URL."""
        thread = Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield self.url
        finally:
            self.shutdown()
            thread.join()
            self.server_close()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Answer with the requested data, or with an error."""
        service, _, rest = self.path.strip("/").partition("/")
        upstream = cast("Upstream", self.server)
        is_down = upstream.is_down(service)
        upstream.let_wait(service)
        answer = {"error": "out of order"} if is_down else {"service": service, "id": rest}
        body = json.dumps(answer).encode()
        self.send_response(503 if is_down else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Log nothing: standard error is for the MCP server's own log."""
