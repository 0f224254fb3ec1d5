"""Thousands of breakers: few are drawn, all can be found."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.dashboard.browser.kit import Server, card_of, names_of_cards

COUNT = 5_000
NAMES = [f"host-{number:04}" for number in range(COUNT)]
OPEN = [NAMES[number] for number in (40, 4_000, 4_999)]
FEW = 200


@pytest.fixture(scope="module")
def crowd(server_of_session: Server) -> Server:
    """Returns a server of many breakers, some of which are open."""
    server_of_session.set_up(*NAMES, interval_seconds=0.5)
    for name in OPEN:
        server_of_session.fail(name)
    return server_of_session


@pytest.fixture
def page(crowd: Server, open_page: Callable[..., Page]) -> Page:
    page = open_page(crowd.origin)
    expect(names_of_cards(page)).to_have_text(OPEN)
    return page


def test_the_sentence_and_the_cause_come_first_and_closed_breakers_are_folded(page: Page) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text(
        re.compile(r"^3 of 5,000 breakers are open since \d\d:\d\d: DependencyError\.$")
    )
    heads = page.locator("#list .head")
    expect(heads.locator(".count")).to_have_text(["3", "4,997"])
    expect(heads.locator(".fold")).to_have_text(["DependencyError", "Closed"])
    expect(page).to_have_title("(3) Circuit breakers")


def test_a_group_is_unfolded_in_steps(page: Page) -> None:
    closed = page.get_by_role("button", name="Closed", exact=True)
    expect(closed).to_have_attribute("aria-expanded", "false")
    closed.click()
    expect(card_of(page, NAMES[0])).to_be_visible()
    assert names_of_cards(page).count() < 10
    page.get_by_role("button", name="Show 100 more").click()
    expect(card_of(page, NAMES[90])).to_have_count(1)
    assert 100 < names_of_cards(page).count() < FEW


def test_a_filter_by_text_finds_one_among_all(page: Page) -> None:
    page.get_by_label("Filter").fill("ST-4321")
    expect(names_of_cards(page)).to_have_text(["host-4321"])
    expect(page.locator("#shown")).to_contain_text("1 of 5,000 breakers")


def test_a_filter_by_state_finds_those_in_it(page: Page) -> None:
    page.get_by_role("button", name="3 open", exact=True).click()
    expect(names_of_cards(page)).to_have_text(OPEN)


def test_the_whole_list_is_in_the_order_of_names_if_somebody_wants_it(page: Page) -> None:
    expect(names_of_cards(page).first).to_have_text(OPEN[0])
    page.get_by_label("Sort by").select_option("name")
    expect(names_of_cards(page)).to_have_text(NAMES[:100])
    page.get_by_role("button", name="Show 100 more").click()
    expect(names_of_cards(page)).to_have_text(NAMES[:200])
