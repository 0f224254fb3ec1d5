"""What the page shows about a fleet."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.dashboard.browser.kit import Server, state_of

NAME = "payments"


@pytest.fixture
def page(server: Server, open_page: Callable[..., Page]) -> Page:
    server.set_up(NAME, quorum=1, defaults={"reset_timeout_seconds": 0.5})
    return open_page(server.origin)


def test_a_reachable_fleet_is_shown(page: Page) -> None:
    expect(page.locator("#fleet")).to_have_text("fleet reachable")
    expect(page.locator("#fleet")).to_be_visible()


def test_a_fleet_that_goes_unreachable_and_comes_back_is_shown(server: Server, page: Page) -> None:
    expect(page.locator("#fleet")).to_have_text("fleet reachable")
    server.share(runs=False)
    expect(page.locator("#fleet")).to_have_text(re.compile(r"^fleet unreachable: \w+"))
    server.share(runs=True)
    expect(page.locator("#fleet")).to_have_text("fleet reachable")


def test_the_page_shows_who_runs_the_probe(server: Server, page: Page) -> None:
    server.fail(NAME)
    expect(page.get_by_text("The next call is a probe", exact=True)).to_be_visible()
    server.hold(NAME)
    expect(page.locator("#fleet")).to_have_text(re.compile(f"^fleet reachable; .+ probes {NAME}$"))
    server.release(NAME, "success")
    expect(page.locator("#fleet")).to_have_text("fleet reachable")


def test_without_a_fleet_nothing_is_shown_about_one(server: Server, open_page: Callable[..., Page]) -> None:
    server.set_up(NAME)
    page = open_page(server.origin)
    expect(state_of(page, NAME)).to_be_visible()
    expect(page.locator("#fleet")).to_be_hidden()
