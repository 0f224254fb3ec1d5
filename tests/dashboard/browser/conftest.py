"""What the tests of the page share: a browser per file, a server for all of them, and an eye on what a page does."""

from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.dashboard.browser.kit import ARGUMENTS, PATIENCE_MS, Server, Watch, connection, find_browser


@pytest.fixture(scope="module")
def browser() -> Generator[Browser]:
    """Starts a browser for the tests of one file: while it is there, no event loop can run in this thread."""
    executable = find_browser()
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=executable, args=ARGUMENTS) as one:
        yield one


@pytest.fixture(scope="session")
def server_of_session(tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    find_browser()
    with Server(tmp_path_factory.mktemp("server") / "log") as server:
        yield server


@pytest.fixture
def server(server_of_session: Server) -> Generator[Server]:
    """Returns a server that is to be set up, and that must log no error."""
    before = server_of_session.log.stat().st_size
    yield server_of_session
    assert "Traceback" not in server_of_session.log.read_text()[before:]


@pytest.fixture
def own_server(browser: Browser, tmp_path: Path) -> Generator[Server]:  # noqa: ARG001 - not without a browser
    """Returns a server that the test may kill."""
    with Server(tmp_path / "log") as server:
        yield server


@pytest.fixture
def watch() -> Generator[Watch]:
    """Sees to it that no page complains, runs what is not its own, or asks others."""
    watch = Watch()
    yield watch
    assert watch.complaints == []


@pytest.fixture
def open_page(browser: Browser, watch: Watch) -> Generator[Callable[..., Page]]:
    """Returns what opens the page in a context of its own, and waits until the state has arrived."""
    pages: list[Page] = []

    def open_page(origin: str, path: str = "/breakers/", *, is_known: bool = True, **options: object) -> Page:
        watch.places.add(origin + path)
        context = browser.new_context(**{"locale": "en", **options})
        context.set_default_timeout(PATIENCE_MS)
        watch.over(context)
        page = context.new_page()
        pages.append(page)
        page.goto(origin + path)
        if is_known:
            expect(page.get_by_text("Waiting for the first answer.")).to_have_count(0)
            expect(connection(page)).to_have_text("live")
        return page

    yield open_page
    for page in pages:
        page.evaluate("0")  # all its messages until now have been received
        page.context.close()
