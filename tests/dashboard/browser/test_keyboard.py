"""Everything on the page with nothing but a keyboard."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.dashboard.browser.kit import TOKEN, Server, card_of, state_of

NAMES = [f"host-{number:03}" for number in range(200)]


@pytest.fixture
def page(server: Server, open_page: Callable[..., Page]) -> Page:
    server.set_up(*NAMES)
    page = open_page(server.origin)
    expect(card_of(page, NAMES[0])).to_be_visible()
    return page


def name_of(page: Page, name: str) -> Locator:
    return card_of(page, name).get_by_role("button", name=name, exact=True)


def test_the_first_key_offers_to_skip_to_the_breakers(page: Page) -> None:
    link = page.get_by_role("link", name="Skip to the breakers")
    expect(link).not_to_be_in_viewport()
    page.keyboard.press("Tab")
    expect(link).to_be_focused()
    expect(link).to_be_in_viewport(ratio=1)
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Closed", exact=True)).to_be_focused()
    page.keyboard.press("Tab")
    expect(name_of(page, NAMES[0])).to_be_focused()


def test_to_skip_leaves_the_filter_in_the_address(page: Page) -> None:
    page.get_by_label("Filter").fill("host-01")
    expect(page).to_have_url(re.compile("#text=host-01$"))
    page.get_by_role("link", name="Skip to the breakers").press("Enter")
    expect(page.locator("#breakers")).to_be_focused()
    expect(page).to_have_url(re.compile("#text=host-01$"))


def test_enter_opens_the_details_and_escape_closes_them_where_they_were_opened(page: Page) -> None:
    name_of(page, NAMES[3]).focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name=NAMES[3])).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(name_of(page, NAMES[3])).to_be_focused()


def test_a_breaker_is_forced_open_by_the_keyboard_alone(server: Server, open_page: Callable[..., Page]) -> None:
    server.set_up("payments", control_token=TOKEN)
    page = open_page(server.origin)
    name_of(page, "payments").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("radio", name="Force open")).to_be_focused()
    page.keyboard.press("Space")
    for text in ("5", "maintenance", "Ada", TOKEN):
        page.keyboard.press("Tab")
        page.keyboard.type(text)
    page.keyboard.press("Enter")
    expect(state_of(page, "payments")).to_have_text("forced open")
    expect(page.get_by_role("button", name="Control payments")).to_be_focused()
    assert 290 < server.status_of("payments")["retry_after"] <= 300


def test_tab_leads_through_all_breakers_in_their_order(page: Page) -> None:
    name_of(page, NAMES[0]).focus()
    for name in NAMES[1:60]:
        page.keyboard.press("Tab")
        expect(name_of(page, name)).to_be_focused()


def test_what_gets_the_focus_does_not_stay_behind_the_head_of_the_page(page: Page) -> None:
    behind, next_to_it = NAMES[40:42]
    name_of(page, next_to_it).focus()
    name_of(page, behind).evaluate(
        "(one) => scrollBy({ top: one.getBoundingClientRect().top - 5, behavior: 'instant' })"
    )
    assert not is_seen(name_of(page, behind))
    page.keyboard.press("Shift+Tab")
    expect(name_of(page, behind)).to_be_focused()
    assert is_seen(name_of(page, behind))


def is_seen(element: Locator) -> bool:
    """Returns whether the middle of an element is covered by nothing."""
    seen: bool = element.evaluate("""(one) => {
        const { x, y, width, height } = one.getBoundingClientRect();
        return one.contains(document.elementFromPoint(x + width / 2, y + height / 2));
    }""")
    return seen


def test_the_order_of_the_tab_key_is_that_of_the_page_when_breakers_move(server: Server, page: Page) -> None:
    name_of(page, NAMES[1]).focus()
    server.fail(NAMES[150])
    server.advance(5)
    server.fail(NAMES[2])
    expect(page.locator("#list .group:nth-of-type(1) .name")).to_have_text([NAMES[150], NAMES[2]])
    expect(name_of(page, NAMES[1])).to_be_focused()
    page.keyboard.press("Shift+Tab")
    expect(name_of(page, NAMES[0])).to_be_focused()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    expect(name_of(page, NAMES[2])).to_be_focused()


def test_arrows_and_letters_walk_through_the_table(page: Page) -> None:
    name_of(page, NAMES[0]).focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("j")
    expect(name_of(page, NAMES[2])).to_be_focused()
    page.keyboard.press("k")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    head = page.get_by_role("button", name="Closed", exact=True)
    expect(head).to_be_focused()
    page.keyboard.press("x")
    expect(head).to_have_attribute("aria-expanded", "false")
    expect(card_of(page, NAMES[0])).to_have_count(0)
    page.keyboard.press("x")
    expect(card_of(page, NAMES[0])).to_be_visible()


def test_a_breaker_that_moves_away_with_the_focus_is_shown_as_it_is_where_it_is(server: Server, page: Page) -> None:
    server.fail(NAMES[-1])
    expect(page.locator("#list .card .name").first).to_have_text(NAMES[-1])
    name_of(page, NAMES[-1]).focus()
    server.advance(60)
    server.succeed(NAMES[-1])
    expect(state_of(page, NAMES[-1])).to_have_text("closed")
    expect(name_of(page, NAMES[-1])).to_be_focused()


def test_a_breaker_that_is_filtered_away_with_the_focus_is_gone(server: Server, page: Page) -> None:
    server.fail(NAMES[7])
    page.get_by_role("button", name="1 open", exact=True).click()
    expect(page.locator("#list .card")).to_have_count(1)
    name_of(page, NAMES[7]).focus()
    server.advance(60)
    server.succeed(NAMES[7])
    expect(page.locator("#list .card")).to_have_count(0)
