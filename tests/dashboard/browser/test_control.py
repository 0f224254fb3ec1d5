"""Forcing breakers open, disabling and resetting them from the page."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.dashboard.browser.kit import TOKEN, Server, Watch, card_of, line_to, state_of, transitions

NAME = "payments"


@pytest.fixture
def page(server: Server, open_page: Callable[..., Page]) -> Page:
    server.set_up(NAME, control_token=TOKEN)
    return open_page(server.origin)


def open_control(page: Page) -> Locator:
    card_of(page, NAME).get_by_role("button", name=f"Control {NAME}").click()
    dialog = page.get_by_role("dialog", name=NAME)
    expect(dialog).to_be_visible()
    return dialog


def apply(page: Page, action: str, *, token: str = TOKEN, minutes: str | None = None) -> Locator:
    dialog = open_control(page)
    dialog.get_by_role("radio", name=action).check()
    if minutes is not None:
        dialog.get_by_label("For how many minutes").fill(minutes)
    dialog.get_by_label("Reason").fill("maintenance")
    dialog.get_by_label("Your name").fill("Ada")
    dialog.get_by_label("Control token").fill(token)
    dialog.get_by_role("button", name="Apply").click()
    return dialog


def test_without_a_token_of_the_server_there_is_no_button(server: Server, open_page: Callable[..., Page]) -> None:
    server.set_up(NAME)
    page = open_page(server.origin)
    expect(state_of(page, NAME)).to_be_visible()
    expect(page.get_by_role("button", name="Control")).to_have_count(0)


def test_a_wrong_token_is_refused_with_words_and_changes_nothing(server: Server, page: Page, watch: Watch) -> None:
    watch.expect("status of 401")
    dialog = apply(page, "Force open", token="not-the-token")  # noqa: S106 - that is what it is
    expect(dialog.get_by_role("alert")).to_have_text("This is not the control token of this server.")
    expect(dialog).to_be_visible()
    assert server.status_of(NAME)["state"] == "closed"


def test_the_right_token_forces_open_with_reason_name_and_expiry(server: Server, page: Page) -> None:
    dialog = apply(page, "Force open", minutes="2.5")
    expect(dialog).to_be_hidden()
    expect(state_of(page, NAME)).to_have_text("forced open")
    expect(card_of(page, NAME).locator(".why")).to_contain_text("by Ada")
    expect(card_of(page, NAME).locator(".next .text")).to_have_text(re.compile(r"^Probe in 2 min (30|2\d) s$"))
    assert 140 < server.status_of(NAME)["retry_after"] <= 150


def test_without_minutes_it_is_forced_open_until_reset(server: Server, page: Page) -> None:
    apply(page, "Force open", minutes="")
    expect(card_of(page, NAME).locator(".next .text")).to_have_text("Rejects all calls until reset")
    assert server.status_of(NAME)["retry_after"] is None


def test_the_timeline_tells_who_has_forced_it_open_and_why(page: Page) -> None:
    apply(page, "Force open")
    expect(transitions(page).locator(".cause")).to_contain_text(["by Ada"])


def test_reset_closes_a_breaker(server: Server, page: Page) -> None:
    server.fail(NAME)
    expect(state_of(page, NAME)).to_have_text("open")
    apply(page, "Reset")
    expect(state_of(page, NAME)).to_have_text("closed")


def test_disable_admits_all_calls(server: Server, page: Page) -> None:
    apply(page, "Disable", minutes="")
    expect(state_of(page, NAME)).to_have_text("disabled")
    expect(card_of(page, NAME).locator(".next .text")).to_have_text("Admits all calls until reset")
    server.fail(NAME)
    assert server.status_of(NAME)["state"] == "disabled"


def test_only_what_ends_by_itself_asks_for_minutes(page: Page) -> None:
    dialog = open_control(page)
    for action in ("Force open", "Disable"):
        dialog.get_by_role("radio", name=action).check()
        expect(dialog.get_by_label("For how many minutes")).to_be_visible()
    dialog.get_by_role("radio", name="Reset").check()
    expect(dialog.get_by_label("For how many minutes")).to_be_hidden()


def test_a_breaker_can_be_disabled_for_some_minutes(page: Page) -> None:
    apply(page, "Disable", minutes="2.5")
    expect(state_of(page, NAME)).to_have_text("disabled")
    expect(card_of(page, NAME).locator(".next .text")).to_contain_text("Admits all calls for")


def test_an_order_is_about_the_state_that_is_shown_when_it_is_given(server: Server, page: Page) -> None:
    dialog = open_control(page)
    expect(dialog.locator(".state")).to_have_text("closed")
    server.fail(NAME)
    expect(dialog.locator(".state")).to_have_text("open")
    dialog.get_by_role("radio", name="Force open").check()
    dialog.get_by_label("Reason").fill("maintenance")
    dialog.get_by_label("Your name").fill("Ada")
    dialog.get_by_label("Control token").fill(TOKEN)
    dialog.get_by_role("button", name="Apply").click()
    expect(state_of(page, NAME)).to_have_text("forced open")


def test_minutes_that_are_out_of_sight_do_not_stand_in_the_way(server: Server, page: Page) -> None:
    apply(page, "Force open", minutes="1")
    expect(state_of(page, NAME)).to_have_text("forced open")
    dialog = open_control(page)
    dialog.get_by_label("For how many minutes").fill("0")
    dialog.get_by_role("radio", name="Reset").check()
    dialog.get_by_label("Reason").fill("over")
    dialog.get_by_role("button", name="Apply").click()
    expect(state_of(page, NAME)).to_have_text("closed")
    assert server.status_of(NAME)["cause"]["text"] == "reset by Ada: over"


def test_what_was_chosen_for_one_breaker_is_not_chosen_for_the_next(server: Server, page: Page) -> None:
    server.add("search")
    dialog = open_control(page)
    dialog.get_by_label("For how many minutes").fill("5")
    dialog.get_by_role("radio", name="Disable").check()
    dialog.get_by_label("Reason").fill("for payments")
    dialog.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Control search").click()
    other = page.get_by_role("dialog", name="search")
    expect(other.get_by_role("radio", checked=True)).to_have_count(0)
    expect(other.get_by_label("For how many minutes")).to_have_value("15")
    expect(other.get_by_label("Reason")).to_have_value("")


def test_a_late_answer_leaves_the_dialog_of_another_breaker_alone(
    server: Server, open_page: Callable[..., Page]
) -> None:
    server.set_up(NAME, "search", control_token=TOKEN, interval_seconds=60)  # no transition is read out meanwhile
    page = open_page(server.origin)
    held: list[Route] = []
    page.route("**/control", lambda route: held.append(route))  # noqa: PLW0108 - Playwright wants a function
    dialog = apply(page, "Reset")
    expect(dialog.get_by_role("button", name="Apply")).to_be_disabled()
    dialog.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Control search").click()
    other = page.get_by_role("dialog", name="search")
    other.get_by_label("Reason").fill("for search")
    held[0].continue_()
    expect(page.locator("#announcer")).to_have_text(f"{NAME}: done")
    expect(other.get_by_label("Reason")).to_have_value("for search")
    expect(other.get_by_role("alert")).to_have_text("")


def test_an_order_for_a_state_that_is_over_is_refused(
    server: Server, open_page: Callable[..., Page], watch: Watch
) -> None:
    watch.expect("status of 409")
    server.set_up(NAME, control_token=TOKEN, interval_seconds=60)  # the page does not know in time
    page = open_page(server.origin)
    dialog = open_control(page)
    server.fail(NAME)
    dialog.get_by_role("radio", name="Force open").check()
    dialog.get_by_label("Reason").fill("maintenance")
    dialog.get_by_label("Your name").fill("Ada")
    dialog.get_by_label("Control token").fill(TOKEN)
    dialog.get_by_role("button", name="Apply").click()
    expect(dialog.get_by_role("alert")).to_contain_text("is open by now")
    assert server.status_of(NAME)["state"] == "open"


def test_nothing_is_sent_without_a_reason(server: Server, page: Page) -> None:
    methods: list[str] = []
    page.on("request", lambda request: methods.append(request.method))
    dialog = open_control(page)
    expect(dialog.locator(".what")).to_contain_text("Nothing is chosen yet")
    dialog.get_by_label("Your name").fill("Ada")
    dialog.get_by_label("Control token").fill(TOKEN)
    dialog.get_by_role("button", name="Apply").click()
    expect(dialog.get_by_role("radio", name="Force open")).to_be_focused()  # the most dangerous act is not chosen
    dialog.get_by_role("radio", name="Force open").check()
    expect(dialog.locator(".what")).to_have_text(f"From now on every call to {NAME} is rejected in this process.")
    dialog.get_by_role("button", name="Apply").click()
    expect(dialog.get_by_label("Reason")).to_be_focused()
    assert "POST" not in methods
    assert server.status_of(NAME)["state"] == "closed"


def test_an_unreachable_server_is_reported_and_the_order_can_be_repeated(
    server: Server, open_page: Callable[..., Page], watch: Watch
) -> None:
    watch.expect("net::ERR_")
    server.set_up(NAME, control_token=TOKEN)
    with line_to(server) as line:
        page = open_page(line.origin)
        line.cut()
        dialog = apply(page, "Force open")
        expect(dialog.get_by_role("alert")).to_contain_text("could not be reached")
        line.mend()
        dialog.get_by_role("button", name="Apply").click()
        expect(state_of(page, NAME)).to_have_text("forced open")


def test_what_was_done_is_read_out(server: Server, open_page: Callable[..., Page]) -> None:
    server.set_up(NAME, control_token=TOKEN, interval_seconds=60)
    page = open_page(server.origin)
    apply(page, "Reset")
    expect(page.get_by_role("status")).to_have_text(f"{NAME}: done")


def test_cancel_changes_nothing(server: Server, page: Page) -> None:
    dialog = open_control(page)
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_be_hidden()
    assert server.status_of(NAME)["state"] == "closed"


def test_the_token_is_in_the_memory_of_the_page_only(page: Page) -> None:
    apply(page, "Force open")
    expect(state_of(page, NAME)).to_have_text("forced open")
    kept = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, location.href])")
    assert TOKEN not in kept
    assert page.context.cookies() == []
    page.reload()
    expect(open_control(page).get_by_label("Control token")).to_have_value("")
