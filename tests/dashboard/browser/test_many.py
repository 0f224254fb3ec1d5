"""Thousands of breakers: few are drawn, all can be found."""

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
    expect(card_of(page, NAMES[0])).to_be_visible()
    return page


def test_only_cards_near_the_window_are_in_the_document(page: Page) -> None:
    assert 10 < names_of_cards(page).count() < FEW
    expect(page.locator("#list .card").first).to_have_attribute("aria-setsize", str(COUNT))


def test_the_last_ones_are_drawn_when_they_are_scrolled_to(page: Page) -> None:
    page.keyboard.press("End")
    expect(card_of(page, NAMES[4_998])).to_be_in_viewport(ratio=1)
    expect(card_of(page, NAMES[0])).to_have_count(0)
    assert names_of_cards(page).count() < FEW
    page.keyboard.press("Home")
    expect(card_of(page, NAMES[0])).to_be_in_viewport()


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
    expect(names_of_cards(page).first).to_have_text(NAMES[0])
    page.keyboard.press("End")
    page.mouse.wheel(0, 1e6)
    expect(names_of_cards(page).last).to_have_text(NAMES[-1])
