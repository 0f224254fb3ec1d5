"""What the page makes of messages that are rare: its own board, with messages made by hand."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page

from tests.dashboard.browser.kit import Server

_SCRIPT = """
async (messages) => {
  const { Board } = await import("/breakers/static/board.js");
  const board = new Board();
  const timestamp = new Date().toISOString();
  const said = { timestamp, fleet: null, dropped: 0, transitions: [], removed: [], changed: {} };
  const dashboard = { version: 2, control: false, interval_seconds: 1, run: "a" };
  const transition = (seq) => ({ seq, at: timestamp, breaker: "x", old: "closed", new: "open", cause: null });
  for (const { run, seqs = [], changed = {} } of messages) {
    const transitions = seqs.map(transition);
    if (run) board.replace({ ...said, transitions, dashboard: { ...dashboard, run }, breakers: {} });
    else board.update({ ...said, transitions, changed });
  }
  return [board.missedTransitions, [...board.breakers.keys()]];
}
"""


@pytest.fixture
def page(server: Server, open_page: Callable[..., Page]) -> Page:
    server.set_up("payments")
    return open_page(server.origin)


@pytest.mark.parametrize(
    ("messages", "missed"),
    [
        ([{"run": "a", "seqs": [7, 8]}, {"seqs": [9, 10]}], 0),
        ([{"run": "a", "seqs": [7, 8]}, {"seqs": [12, 13]}, {"seqs": [15]}], 4),
        ([{"run": "a"}, {"seqs": [1]}], 0),
        ([{"run": "a", "seqs": [7, 8]}, {"run": "a", "seqs": [7, 8, 9]}], 0),
        ([{"run": "a", "seqs": [7, 8]}, {"run": "a", "seqs": [11, 12]}], 2),
        ([{"run": "a", "seqs": [7, 8]}, {"seqs": [12]}, {"run": "b", "seqs": [3]}, {"seqs": [4]}], 0),
    ],
)
def test_transitions_that_were_too_many_at_once_are_counted(
    page: Page, messages: list[dict[str, object]], missed: int
) -> None:
    assert page.evaluate(_SCRIPT, messages)[0] == missed


def test_a_change_of_a_breaker_that_is_not_known_is_passed_over(page: Page) -> None:
    changed = {"gone": {"success_total": 1}, "new": {"state": "closed", "time_in_state_seconds": 0, "retry_after": 0}}
    assert page.evaluate(_SCRIPT, [{"run": "a"}, {"changed": changed}])[1] == ["new"]
