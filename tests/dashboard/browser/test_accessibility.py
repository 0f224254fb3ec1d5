"""The page for everyone: looked over by axe-core, on a phone, and to be used with nothing but a keyboard."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.dashboard.browser.kit import PHONE, TOKEN, Server, card_of, transitions

LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "phone": {"color_scheme": "light", "viewport": PHONE, "is_mobile": True, "has_touch": True},
}
LONG = "https://inventory.internal.shop.example/v2/warehouses/{warehouse}/reservations/{reservation}/items?expand=all"
NAMES = ["payments", "search", "mail", "ledger", "recommendations", LONG]


@cache
def axe() -> str:
    return (Path(__file__).parent / "vendor" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")


def violations(page: Page) -> list[str]:
    """Returns what axe-core finds wrong."""
    page.evaluate(axe())
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [f"{each['id']}: {node['html'][:200]}" for each in found["violations"] for node in each["nodes"]]


def whole_page(page: Page) -> None:
    """Shows what is there when the page is opened."""


def details(page: Page) -> None:
    card_of(page, LONG).get_by_role("button", name=LONG, exact=True).click()
    expect(page.get_by_role("dialog").locator(".transition")).to_have_count(1)


def control(page: Page) -> None:
    card_of(page, LONG).get_by_role("button", name="Control").click()
    expect(page.get_by_role("dialog")).to_be_visible()


def filtered(page: Page) -> None:
    page.get_by_role("button", name="2 open", exact=True).click()
    page.get_by_label("Filter").fill("down")
    expect(page.locator("#shown")).to_be_visible()


@pytest.fixture
def varied(server: Server) -> Server:
    """Returns a server with a breaker in each state, one with a very long name."""
    server.set_up(*NAMES, control_token=TOKEN, quorum=2)
    for name in ("mail", "ledger", LONG):
        server.fail(name, f"down: {LONG}")
    server.advance(60)
    server.hold("mail")
    server.force_open("search", "maintenance")
    server.disable("recommendations")
    return server


@pytest.mark.parametrize("look", LOOKS)
def test_axe_finds_nothing_wrong(varied: Server, open_page: Callable[..., Page], look: str) -> None:
    page = open_page(varied.origin, **LOOKS[look])
    expect(transitions(page)).to_have_count(6)
    for place in (whole_page, details, control, filtered):
        place(page)
        assert violations(page) == [], place.__name__
        page.keyboard.press("Escape")


@pytest.mark.parametrize("width", [PHONE["width"], 320])
def test_nothing_scrolls_sideways_on_a_phone(varied: Server, open_page: Callable[..., Page], width: int) -> None:
    page = open_page(varied.origin, **{**LOOKS["phone"], "viewport": {**PHONE, "width": width}})
    expect(transitions(page)).to_have_count(6)
    for place in (whole_page, details, control):
        place(page)
        assert too_wide(page) == []
        assert page.evaluate("innerWidth") == width  # which grows with what does not fit
        page.keyboard.press("Escape")


def too_wide(page: Page) -> list[str]:
    """Returns what can be scrolled sideways, or is partly beside the window."""
    found: list[str] = page.locator("html, #timeline .scroller, dialog[open]").evaluate_all("""(places) => places
        .filter((one) => one.scrollWidth > one.clientWidth || one.getBoundingClientRect().right > innerWidth)
        .map((one) => one.outerHTML.slice(0, 100))""")
    return found


def test_axe_would_notice(varied: Server, open_page: Callable[..., Page]) -> None:
    page = open_page(varied.origin)
    page.evaluate("document.documentElement.removeAttribute('lang')")
    page.locator("#timeline h2").evaluate("(one) => { one.style.color = 'silver'; }")
    assert {each.partition(":")[0] for each in violations(page)} == {"html-has-lang", "color-contrast"}
