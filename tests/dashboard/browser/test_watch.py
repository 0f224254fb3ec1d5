"""Every test watches that the page keeps its policy, complains of nothing and asks nobody else. This is who watches."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.dashboard.browser.kit import Server, Watch, state_of

DEEDS = {
    "new Image().src = 'http://127.0.0.2/pixel.png'": "violates img-src: http://127.0.0.2",
    "fetch('/breakers')": "asks http://",
    "document.body.append(Object.assign(document.createElement('script'), {textContent: '1'}))": (
        "violates script-src-elem: inline"
    ),
    "document.body.setAttribute('style', 'color: red')": "violates style-src-attr: inline",
    "console.error('oh no')": "error on the console: oh no",
    "setTimeout(() => { throw new Error('oh no') })": "error in a script: oh no",
    "setTimeout(() => alert('oh no'))": "alert: oh no",
}


def test_whatever_a_page_must_not_do_is_noticed(server: Server, open_page: Callable[..., Page], watch: Watch) -> None:
    server.set_up("payments")
    page = open_page(server.origin)
    expect(state_of(page, "payments")).to_be_visible()
    for deed, complaint in DEEDS.items():
        page.evaluate(f"() => {{ {deed}; }}")
        wait_for(complaint, page, watch)
    watch.complaints.clear()


def wait_for(complaint: str, page: Page, watch: Watch) -> None:
    for _ in range(1_000):
        if any(complaint in each for each in watch.complaints):
            return
        page.evaluate("() => new Promise(requestAnimationFrame)")
    pytest.fail(f"{complaint!r} is not in {watch.complaints}")
