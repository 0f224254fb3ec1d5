"""The outage that `python -m demos.dashboard` plays, as it is seen in the browser."""

import re
import subprocess
import sys
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

_ROOT = Path(__file__).parents[3]
_LONGEST_MS = 60_000

# Takes down whatever a card shows: the state, and what comes next.
_WATCH = """
(wanted) => {
  window.seen = [];
  const name = (card) => card.querySelector(".name").textContent;
  const text = (card, selector) => card.querySelector(selector).textContent;
  const look = () => {
    const card = [...document.querySelectorAll("#list .card")].find((one) => name(one) === wanted);
    const shown = card && `${text(card, ".state")}: ${text(card, ".next .text")}`;
    if (shown && shown !== seen.at(-1)) seen.push(shown);
  };
  const all = { subtree: true, childList: true, characterData: true, attributes: true };
  new MutationObserver(look).observe(document.body, all);
}
"""

_HAS_SEEN = """
(wanted) => {
  let at = -1;
  return wanted.every((each) => (at = seen.indexOf(each, at + 1)) >= 0);
}
"""


@pytest.fixture
def origin(browser: Browser) -> Generator[str]:  # noqa: ARG001 - not without a browser
    command = [sys.executable, "-m", "demos.dashboard", "--fast", "--port", "0"]
    with subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().removeprefix("The dashboard is at ").strip().rstrip("/")
        finally:
            process.kill()


def test_the_outage_of_the_demo_is_seen_live(origin: str, open_page: Callable[..., Page]) -> None:
    page = open_page(origin, "/")
    page.evaluate(_WATCH, "orders")
    states = ["closed: ", "open: Probe in 1 s", "half open: A probe decides", "closed: "]
    page.wait_for_function(_HAS_SEEN, arg=states, timeout=_LONGEST_MS)
    timeline = page.locator("#timeline .transition").all_inner_texts()
    assert any(re.search(r"orders[\s\S]*open[\s\S]*5 consecutive failures \(threshold 5\)", each) for each in timeline)
