"""What the tests of the page share: a browser, a server, a way between them that can be cut, and an eye on the page."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any, Self

import anyio.from_thread
import pytest
from playwright.sync_api import BrowserContext, ConsoleMessage, Dialog, Locator, Page, Request, WebError

from tests.fleet.proxy import Proxy, proxy_to
from tests.integrations.postgres import DIES_WITH_THE_TESTS

TOKEN = "an-excellent-token-0123456789"  # noqa: S105 - of tests
PATIENCE_SECONDS = 60.0
PATIENCE_MS = 1000 * PATIENCE_SECONDS
PHONE = {"width": 390, "height": 844}
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def find_browser() -> str:
    """Finds a Chromium or Chrome; without one the test is skipped, or fails where CI runs it."""
    names = (os.environ.get("RECLOSER_CHROMIUM"), "chromium", "chromium-browser", "google-chrome", "chrome")
    found = next((path for name in names if name and (path := shutil.which(name))), None)
    if found is None:
        reason = "there is no Chromium or Chrome on the path (Debian: apt install chromium), nor in RECLOSER_CHROMIUM"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    return found


class Server:
    """A process that serves a dashboard; `server.py` lists the orders that it takes.

    Args:
        log: The file that it writes its errors to.
        **settings: Of its first stage.
    """

    def __init__(self, log: Path, **settings: object) -> None:
        self.log = log
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.start(**settings)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, **settings: object) -> None:
        program = [sys.executable, str(Path(__file__).with_name("server.py")), str(self.port), json.dumps(settings)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*DIES_WITH_THE_TESTS, *program], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
            )
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                pytest.fail(f"the server did not start:\n{self.log.read_text()}")
            time.sleep(0.01)  # nothing tells when a server listens

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    # Orders

    def set_up(self, *names: str, **settings: object) -> None:
        """Begins a new stage, with breakers of these names."""
        self._order("set_up", names=names, **settings)

    def succeed(self, breaker: str, times: int = 1) -> None:
        self._order("call", breaker=breaker, outcome="success", times=times)

    def fail(self, breaker: str, error: str = "down", times: int = 1) -> None:
        self._order("call", breaker=breaker, outcome="failure", error=error, times=times)

    def hold(self, breaker: str) -> None:
        self._order("hold", breaker=breaker)

    def release(self, breaker: str, outcome: str, error: str = "down") -> None:
        self._order("release", breaker=breaker, outcome=outcome, error=error)

    def advance(self, seconds: float) -> None:
        self._order("advance", seconds=seconds)

    def force_open(self, breaker: str, reason: str) -> None:
        self._order("force_open", breaker=breaker, reason=reason)

    def disable(self, breaker: str) -> None:
        self._order("disable", breaker=breaker)

    def add(self, *names: str) -> None:
        self._order("add", names=names)

    def share(self, *, runs: bool) -> None:
        self._order("share", runs=runs)

    def status_of(self, breaker: str) -> dict[str, Any]:
        """Returns what the server itself says of a breaker."""
        with closing(self._connect()) as connection:
            connection.request("GET", "/breakers/status.json")
            answer: dict[str, Any] = json.load(connection.getresponse())["breakers"][breaker]
            return answer

    @contextmanager
    def streaming(self) -> Generator["Stream"]:
        """Has another client listen for a block, as soon as there is room for it."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            with closing(self._connect()) as connection:
                connection.request("GET", "/breakers/events")
                with connection.getresponse() as response:
                    if response.status == HTTPStatus.OK:
                        yield Stream(response)
                        return
            assert time.monotonic() < deadline, "there is no room for another stream"
            time.sleep(0.01)  # nothing tells when the server has noticed that a client is gone

    def _order(self, name: str, **given: object) -> None:
        with closing(self._connect()) as connection:
            connection.request("POST", f"/test/{name}", json.dumps(given))
            answer = connection.getresponse()
            assert answer.status == HTTPStatus.NO_CONTENT, (
                f"{name} was not carried out:\n{self.log.read_text()[-2_000:]}"
            )

    def _connect(self) -> HTTPConnection:
        return HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


class Stream:
    """A client that reads the stream of events.

    Args:
        response: The answer of the server.
    """

    def __init__(self, response: HTTPResponse) -> None:
        self._lines = response

    def wait_for(self, text: str) -> None:
        """Reads until an event says something."""
        while text not in self._lines.readline().decode():
            pass


@contextmanager
def line_to(server: Server) -> Generator["Line"]:
    """Lays a way to a server that a test can cut; it has a port of its own."""
    start = anyio.from_thread.start_blocking_portal
    with start() as portal, portal.wrap_async_context_manager(proxy_to(server.port)) as proxy:
        yield Line(proxy, portal)


@dataclass
class Line:
    """A way to a server."""

    proxy: Proxy
    portal: anyio.from_thread.BlockingPortal

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.proxy.port}"

    def cut(self) -> None:
        """Tears all connections, and each new one, until the line is mended."""
        self.proxy.refuses = True
        self.portal.call(self.proxy.cut)

    def mend(self) -> None:
        self.proxy.refuses = False


@dataclass
class Watch:
    """Takes down whatever a page does that it must not do.

    Attributes:
        places: What its URLs may begin with.
        complaints: What it did.
        expected: What a test knows to come; patterns.
    """

    places: set[str] = field(default_factory=set)
    complaints: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)

    def over(self, context: BrowserContext) -> None:
        """Watches all pages of a context."""
        context.add_init_script(
            'document.addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) =>'
            " console.error(`violates ${violatedDirective}: ${blockedURI}`));"
        )
        context.on("console", self._hear)
        context.on("weberror", self._catch)
        context.on("dialog", self._dismiss)
        context.on("request", self._check)

    def expect(self, pattern: str) -> None:
        self.expected.append(pattern)

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning", "assert"}:
            self._complain(f"{message.type} on the console: {message.text}")

    def _catch(self, error: WebError) -> None:
        self._complain(f"error in a script: {error.error}")

    def _dismiss(self, dialog: Dialog) -> None:
        self._complain(f"{dialog.type}: {dialog.message}")
        dialog.dismiss()

    def _check(self, request: Request) -> None:
        if not any(request.url.startswith(place) for place in self.places):
            self._complain(f"asks {request.url}")

    def _complain(self, complaint: str) -> None:
        if not any(re.search(pattern, complaint) for pattern in self.expected):
            self.complaints.append(complaint)


def card_of(page: Page, name: str) -> Locator:
    return page.locator("#list .card").filter(has=page.get_by_role("button", name=name, exact=True))


def state_of(page: Page, name: str) -> Locator:
    return card_of(page, name).locator(".state")


def names_of_cards(page: Page) -> Locator:
    """Returns the names on the cards that are drawn, in the order of the document."""
    return page.locator("#list .card .name")


def transitions(page: Page) -> Locator:
    """Returns the lines of the timeline, the latest first."""
    return page.locator("#timeline .transition")


def connection(page: Page) -> Locator:
    return page.locator("#connection .text")
