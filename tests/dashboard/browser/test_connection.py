"""What the page says and does when its stream is lost, resumed, refused or silent."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Request, expect

from tests.dashboard.browser.kit import Server, Watch, connection, line_to, names_of_cards, state_of, transitions

NAME = "payments"
EVENTS = re.compile("/events")
KNOWN = r"[0-9a-f]{16}-\d+"
RECONNECTING = re.compile(r"^reconnecting; as of \d\d:\d\d:\d\d$")


@pytest.fixture
def watch(watch: Watch) -> Watch:
    """Browsers note lost connections on the console."""
    watch.expect("net::ERR_")
    return watch


def requests_of(page: Page) -> list[Request]:
    """Returns a list to which all requests of a page are added from now on."""
    requests: list[Request] = []

    def note(request: Request) -> None:
        requests.append(request)

    page.on("request", note)
    return requests


def test_a_killed_server_is_known_and_its_next_run_is_shown_without_a_reload(
    own_server: Server, open_page: Callable[..., Page]
) -> None:
    own_server.set_up(NAME, "search")
    page = open_page(own_server.origin)
    own_server.fail(NAME, "before")
    expect(state_of(page, NAME)).to_have_text("open")
    page.evaluate("window.isTheSame = true")
    own_server.kill()
    expect(connection(page)).to_have_text(RECONNECTING)
    expect(state_of(page, NAME)).to_have_text("open")
    own_server.start(names=[NAME, "ledger"])
    expect(connection(page)).to_have_text("live")
    expect(state_of(page, NAME)).to_have_text("closed")
    expect(names_of_cards(page)).to_have_text(["ledger", NAME])
    expect(transitions(page)).to_have_count(0)
    own_server.fail("ledger", "after")
    expect(transitions(page).locator(".cause")).to_have_text([re.compile("after")])
    assert page.evaluate("window.isTheSame")


def test_a_torn_stream_misses_no_transition(server: Server, open_page: Callable[..., Page]) -> None:
    names = [f"host-{number}" for number in range(12)]
    server.set_up(*names)
    with line_to(server) as line, server.streaming() as other:
        page = open_page(line.origin)
        server.fail(names[0])
        expect(transitions(page)).to_have_count(1)
        line.cut()
        expect(connection(page)).to_have_text(RECONNECTING)
        for name in names[1:]:
            server.fail(name)
            other.wait_for(f'"breaker":"{name}"')
        asked = requests_of(page)
        line.mend()
        expect(transitions(page).locator(".name")).to_have_text(names[::-1])
        expect(connection(page)).to_have_text("live")
        assert re.fullmatch(KNOWN, asked[-1].all_headers()["last-event-id"])
        expect(page.locator("#missed")).to_be_hidden()


def test_a_stream_that_was_refused_for_a_while_misses_no_transition(
    server: Server, open_page: Callable[..., Page], watch: Watch
) -> None:
    watch.expect("status of 503")
    server.set_up(NAME, "search", max_streams=1)
    with line_to(server) as line:
        page = open_page(line.origin)
        asked = requests_of(page)
        line.cut()
        expect(connection(page)).to_have_text(RECONNECTING)
        with server.streaming() as other:
            with page.expect_response(EVENTS) as answer:
                line.mend()
            assert answer.value.status == 503
            for name in (NAME, "search"):
                server.fail(name)
                other.wait_for(f'"breaker":"{name}"')
        expect(transitions(page).locator(".name")).to_have_text(["search", NAME])
        expect(connection(page)).to_have_text("live")
        expect(page.locator("#missed")).to_be_hidden()
        assert re.search(rf"/events\?last={KNOWN}$", asked[-1].url)


def test_updates_that_were_missed_are_counted(server: Server, open_page: Callable[..., Page]) -> None:
    names = [f"host-{number}" for number in range(8)]
    server.set_up(*names, updates_kept=2)
    with line_to(server) as line, server.streaming() as other:
        page = open_page(line.origin)
        expect(page.locator("#missed")).to_be_hidden()
        line.cut()
        expect(connection(page)).to_have_text(RECONNECTING)
        for name in names:
            server.fail(name)
            other.wait_for(f'"breaker":"{name}"')
        line.mend()
        expect(page.locator("#missed")).to_have_text(re.compile(r"^[1-9]\d* updates missed$"))
        expect(page.locator("#missed")).to_be_visible()
        assert int(page.locator("#missed").inner_text().split()[0]) >= len(names)
        expect(page.locator("#list .state")).to_have_text(["open"] * len(names))
        expect(transitions(page)).to_have_count(len(names))


def test_a_server_that_says_nothing_any_more_is_asked_until_it_answers(
    server: Server, open_page: Callable[..., Page]
) -> None:
    server.set_up(NAME, quiet_seconds=0.2)
    with line_to(server) as line:
        page = open_page(line.origin)
        line.proxy.swallow_replies = True
        for _ in range(2):
            with page.expect_request(EVENTS):
                pass
        expect(connection(page)).to_have_text(RECONNECTING)
        server.fail(NAME)
        line.proxy.swallow_replies = False
        expect(connection(page)).to_have_text("live")
        expect(state_of(page, NAME)).to_have_text("open")


def test_a_page_that_is_opened_before_the_server_has_room_waits_for_it(
    server: Server, open_page: Callable[..., Page], watch: Watch
) -> None:
    watch.expect("status of 503")
    server.set_up(NAME, max_streams=1)
    with server.streaming():
        page = open_page(server.origin, is_known=False)
        expect(connection(page)).to_have_text(RECONNECTING)
        expect(page.locator("#empty")).to_have_text("Waiting for the first answer.")
    expect(state_of(page, NAME)).to_have_text("closed")
    expect(connection(page)).to_have_text("live")
