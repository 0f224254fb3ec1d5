"""Which breakers are shown, in which order, and that the address says so."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.dashboard.browser.kit import Server, names_of_cards, state_of

NAMES = ["ledger", "mail", "payments", "search"]


@pytest.fixture
def page(server: Server, open_page: Callable[..., Page]) -> Page:
    server.set_up(*NAMES)
    server.fail("payments", "connection refused")
    server.advance(5)
    server.fail("search", "too late")
    page = open_page(server.origin)
    expect(state_of(page, "search")).to_have_text("open")
    return page


def test_the_most_urgent_come_first(server: Server, page: Page) -> None:
    expect(names_of_cards(page)).to_have_text(["payments", "search", "ledger", "mail"])
    server.disable("mail")
    expect(names_of_cards(page)).to_have_text(["payments", "search", "mail", "ledger"])


def test_the_order_is_that_of_failures_or_rejections_or_names(server: Server, page: Page) -> None:
    page.get_by_label("Sort by").select_option("failures")
    expect(names_of_cards(page)).to_have_text(NAMES)
    expect(page.locator("#list .card .calls")).to_have_text(["–"] * len(NAMES))  # noqa: RUF001 - a dash
    server.fail("mail")
    server.fail("search", times=5)
    expect(names_of_cards(page)).to_have_text(["mail", "ledger", "payments", "search"])
    page.get_by_label("Sort by").select_option("rejections")
    expect(names_of_cards(page)).to_have_text(["search", "ledger", "mail", "payments"])
    page.get_by_label("Sort by").select_option("name")
    expect(names_of_cards(page)).to_have_text(NAMES)


def test_a_filter_by_text_looks_at_names_whatever_the_case(page: Page) -> None:
    page.get_by_label("Filter").fill("AYMEN")
    expect(names_of_cards(page)).to_have_text(["payments"])
    expect(page.locator("#shown")).to_contain_text("1 of 4 breakers")


def test_a_filter_by_text_looks_at_causes(page: Page) -> None:
    page.get_by_label("Filter").fill("too late")
    expect(names_of_cards(page)).to_have_text(["search"])


def test_a_filter_by_states_shows_those_in_any_of_them(server: Server, page: Page) -> None:
    server.disable("mail")
    page.get_by_role("button", name="2 open", exact=True).click()
    page.get_by_role("button", name="1 disabled", exact=True).click()
    expect(names_of_cards(page)).to_have_text(["payments", "search", "mail"])
    expect(page.get_by_role("button", pressed=True)).to_have_count(2)
    page.get_by_role("button", name="2 open", exact=True).click()
    expect(names_of_cards(page)).to_have_text(["mail"])


def test_a_filter_holds_for_breakers_that_change(server: Server, page: Page) -> None:
    page.get_by_role("button", name="2 open", exact=True).click()
    server.advance(5)
    server.fail("ledger")
    expect(names_of_cards(page)).to_have_text(["payments", "search", "ledger"])  # the longer open first


def test_filters_and_order_stand_in_the_address_and_outlast_a_reload(page: Page) -> None:
    page.get_by_label("Filter").fill("e")
    page.get_by_role("button", name="2 open", exact=True).click()
    page.get_by_label("Sort by").select_option("name")
    expect(page).to_have_url(re.compile("#text=e&sort=name&states=open$"))
    page.reload()
    expect(names_of_cards(page)).to_have_text(["payments", "search"])
    expect(page.get_by_label("Filter")).to_have_value("e")
    expect(page.get_by_label("Sort by")).to_have_value("name")
    expect(page.get_by_role("button", pressed=True)).to_have_count(1)


def test_a_link_is_followed_on_a_page_that_is_open_already(page: Page) -> None:
    page.evaluate("location.hash = '#text=l&states=closed'")
    expect(names_of_cards(page)).to_have_text(["ledger", "mail"])
    expect(page.get_by_label("Filter")).to_have_value("l")


def test_show_all_ends_all_filters(page: Page) -> None:
    page.get_by_role("button", name="2 open", exact=True).click()
    page.get_by_label("Filter").fill("nobody is called that")
    expect(page.get_by_text("No breaker matches.")).to_be_visible()
    page.get_by_role("button", name="Show all").click()
    expect(names_of_cards(page)).to_have_count(len(NAMES))
    expect(page.locator("#shown")).to_be_hidden()
    expect(page).to_have_url(re.compile("/breakers/$"))


def test_a_server_without_breakers_says_so(server: Server, open_page: Callable[..., Page]) -> None:
    server.set_up()
    page = open_page(server.origin)
    expect(page.get_by_text("There are no breakers yet.")).to_be_visible()
    server.add("ledger")
    expect(state_of(page, "ledger")).to_have_text("closed")
    expect(page.get_by_text("There are no breakers yet.")).to_be_hidden()
