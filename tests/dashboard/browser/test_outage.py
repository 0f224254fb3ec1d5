"""An outage as it is seen on the page while it happens."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.dashboard.browser.kit import Server, card_of, names_of_cards, state_of, transitions

NAME = "payments"
MORE_THAN_NOTHING = re.compile(r"^[0-9.]*[1-9][0-9.]*$")


@pytest.fixture
def page(server: Server, open_page: Callable[..., Page]) -> Page:
    server.set_up(NAME, "search", defaults={"failure_threshold": 2, "reset_timeout_seconds": 30})
    return open_page(server.origin)


def next_of(page: Page) -> Locator:
    return card_of(page, NAME).locator(".next .text")


def make_ready(server: Server) -> None:
    """Opens the breaker, and has the wait be over."""
    server.fail(NAME, "connection refused", times=2)
    server.advance(30)


def test_a_breaker_that_trips_is_shown_open_with_the_cause(server: Server, page: Page) -> None:
    expect(state_of(page, NAME)).to_have_text("closed")
    server.fail(NAME, "connection refused", times=2)
    expect(state_of(page, NAME)).to_have_text("open")
    expect(card_of(page, NAME).locator(".why")).to_contain_text("connection refused")
    expect(state_of(page, "search")).to_have_text("closed")


def test_the_time_to_the_probe_counts_down_while_the_server_says_nothing(
    server: Server, open_page: Callable[..., Page]
) -> None:
    server.set_up(NAME, interval_seconds=60, defaults={"reset_timeout_seconds": 30})
    server.fail(NAME)
    page = open_page(server.origin)
    expect(next_of(page)).to_have_text(re.compile(r"^Probe in \d+ s$"))
    seconds = int(next_of(page).inner_text().split()[-2])
    expect(next_of(page)).to_have_text(f"Probe in {seconds - 1} s")


def test_the_end_of_the_wait_is_shown(server: Server, page: Page) -> None:
    server.fail(NAME, times=2)
    expect(next_of(page)).to_have_text(re.compile("^Probe in"))
    server.advance(30)
    expect(next_of(page)).to_have_text("The next call is a probe")


def test_a_probe_is_shown_and_closes_the_breaker_when_it_succeeds(server: Server, page: Page) -> None:
    make_ready(server)
    server.hold(NAME)
    expect(state_of(page, NAME)).to_have_text("half open")
    expect(next_of(page)).to_have_text("A probe decides")
    server.release(NAME, "success")
    expect(state_of(page, NAME)).to_have_text("closed")
    expect(next_of(page)).to_have_text("")


def test_a_probe_that_fails_opens_the_breaker_for_another_wait(server: Server, page: Page) -> None:
    make_ready(server)
    server.hold(NAME)
    expect(state_of(page, NAME)).to_have_text("half open")
    server.release(NAME, "failure", "still down")
    expect(state_of(page, NAME)).to_have_text("open")
    expect(next_of(page)).to_have_text(re.compile(r"^Probe in \d+ s$"))
    expect(card_of(page, NAME).locator(".why")).to_contain_text("still down")


def test_the_timeline_tells_each_transition_with_its_cause_the_latest_first(server: Server, page: Page) -> None:
    expect(page.get_by_text("No transition yet.")).to_be_visible()
    make_ready(server)
    server.succeed(NAME)
    lines = transitions(page)
    expect(lines.locator(".state")).to_have_text(["closed", "half open", "open"])
    expect(lines.locator(".name")).to_have_text([NAME] * 3)
    closed, half_open, opened = lines.locator(".cause").all_inner_texts()
    assert "probe succeeded" in closed
    assert "a call arrived" in half_open
    assert "2 consecutive failures" in opened
    assert "connection refused" in opened
    expect(page.get_by_text("No transition yet.")).to_be_hidden()


def test_transitions_are_read_out_to_who_cannot_see_them(server: Server, page: Page) -> None:
    server.fail(NAME, "connection refused", times=2)
    expect(page.get_by_role("status")).to_contain_text(f"{NAME} is open: 2 consecutive failures")
    expect(page.get_by_role("status")).to_have_attribute("aria-live", "polite")


def test_the_title_of_the_window_tells_how_many_are_not_closed(server: Server, page: Page) -> None:
    expect(page).to_have_title("Circuit breakers")
    server.fail(NAME, times=2)
    expect(page).to_have_title("(1) Circuit breakers")


def test_the_breaker_that_needs_attention_moves_to_the_front(server: Server, page: Page) -> None:
    server.fail("search", times=2)
    expect(names_of_cards(page)).to_have_text(["search", NAME])
    boxes = {name: card_of(page, name).bounding_box() for name in (NAME, "search")}
    assert boxes["search"]["y"] < boxes[NAME]["y"]


def test_traffic_is_shown_per_second(server: Server, page: Page) -> None:
    rates = card_of(page, NAME).locator(".rejections, .calls")
    expect(rates).to_have_text(["–", "–"])  # noqa: RUF001 - a dash, as on the page
    server.fail(NAME, times=9)
    expect(rates).to_have_text([MORE_THAN_NOTHING] * 2)
    expect(card_of(page, "search").locator(".rejections, .calls")).to_have_text(["–", "–"])  # noqa: RUF001 - as above


def test_the_details_tell_totals_and_the_breakers_own_transitions(server: Server, page: Page) -> None:
    server.fail("search", times=2)
    server.fail(NAME, "connection refused", times=5)
    page.get_by_role("button", name=NAME, exact=True).first.click()
    details = page.get_by_role("dialog", name=NAME)
    expect(details.locator(".figures div", has_text="failures").locator("dd")).to_have_text("2")
    expect(details.locator(".figures div", has_text="rejected").locator("dd")).to_have_text("3")
    expect(details.locator(".transitions .cause")).to_have_text([re.compile("connection refused")])
    expect(details.locator(".chart canvas")).to_be_visible()
    server.advance(30)
    server.succeed(NAME)
    expect(details.locator(".state").first).to_have_text("closed")


def test_the_details_of_a_breaker_that_is_gone_say_so(server: Server, open_page: Callable[..., Page]) -> None:
    server.set_up(NAME, defaults={"max_breakers": 1})
    page = open_page(server.origin)
    card_of(page, NAME).get_by_role("button", name=NAME, exact=True).click()
    details = page.get_by_role("dialog", name=NAME)
    expect(details.locator(".state").first).to_have_text("closed")
    server.add("search")
    expect(details.locator(".why")).to_have_text("This breaker no longer exists.")
    expect(details.locator(".state").first).to_be_hidden()
    expect(details.locator(".next")).to_have_text("")
