"""Names and errors come from anywhere: whatever they are, they are text."""

import json
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, Request, expect

from tests.dashboard.browser.kit import TOKEN, Server, Watch, card_of, transitions

MARKUP = "<img src=x onerror=window.hacked=1><script>window.hacked=1</script>"
ERROR = f"</p>{MARKUP}"


@pytest.fixture
def page(server: Server, open_page: Callable[..., Page]) -> Page:
    server.set_up(MARKUP, control_token=TOKEN)
    page = open_page(server.origin)
    server.fail(MARKUP, ERROR)
    expect(transitions(page)).to_have_count(1)
    return page


def details(page: Page) -> Locator:
    """Opens the details; the dialog is found by its name, so that its name is the right one."""
    card_of(page, MARKUP).get_by_role("button", name=MARKUP, exact=True).click()
    return page.get_by_role("dialog", name=MARKUP, exact=True)


def control(page: Page) -> Locator:
    card_of(page, MARKUP).get_by_role("button", name=f"Control {MARKUP}", exact=True).click()
    return page.get_by_role("dialog", name=MARKUP, exact=True)


def test_a_name_that_is_markup_is_text_wherever_it_is_shown(page: Page) -> None:
    expect(card_of(page, MARKUP).locator(".name")).to_have_text(MARKUP)
    expect(transitions(page).locator(".name")).to_have_text(MARKUP)
    expect(details(page).locator("#details-title")).to_have_text(MARKUP)
    page.keyboard.press("Escape")
    expect(control(page).locator("#control-title")).to_have_text(MARKUP)
    assert_nothing_ran(page)


def test_an_error_that_is_markup_is_text_wherever_it_is_shown(page: Page) -> None:
    expect(card_of(page, MARKUP).locator(".why")).to_contain_text(ERROR)
    expect(transitions(page).locator(".cause")).to_contain_text(ERROR)
    dialog = details(page)
    expect(dialog.locator(".why")).to_contain_text(ERROR)
    expect(dialog.locator(".cause")).to_contain_text(ERROR)
    assert_nothing_ran(page)


def test_what_the_server_says_of_a_name_is_text(page: Page, watch: Watch) -> None:
    watch.expect("status of 409")
    dialog = control(page)
    dialog.get_by_role("radio", name="Reset").check()
    dialog.get_by_label("Reason").fill("why")
    dialog.get_by_label("Your name").fill("who")
    dialog.get_by_label("Control token").fill(TOKEN)
    page.route("**/control", lambda route: route.continue_(post_data=with_another_generation(route.request)))
    dialog.get_by_role("button", name="Apply").click()
    expect(dialog.get_by_role("alert")).to_contain_text(MARKUP)
    assert_nothing_ran(page)


def with_another_generation(request: Request) -> str:
    """Returns an order for a state that is over, whose refusal names the breaker."""
    return json.dumps({**request.post_data_json, "generation": 1_000})


def assert_nothing_ran(page: Page) -> None:
    assert page.evaluate("window.hacked") is None
    assert page.locator("body img, body script").count() == 0
