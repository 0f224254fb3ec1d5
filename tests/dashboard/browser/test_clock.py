"""The page goes by the server's clock, whatever becomes of it."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page

from tests.dashboard.browser.kit import Server

_SCRIPT = """
async ({ late, step }) => {
  const { Board } = await import("/breakers/static/board.js");
  const board = new Board();
  const start = Date.now();
  const said = (at) => ({ timestamp: new Date(at).toISOString(), transitions: [], fleet: null, dropped: 0 });
  const dashboard = { version: 2, control: false, interval_seconds: 1, run: "a" };
  const totals = { failure_total: 5, success_total: 0, ignored_total: 0, cancelled_total: 0, rejected_total: 0 };
  const open = { state: "open", time_in_state_seconds: 5, retry_after: 25, ...totals };
  const forced = { ...open, state: "forced_open", retry_after: null };
  board.replace({ ...said(start), dashboard, breakers: { open, forced } });
  board.update({ ...said(start - 1000 * late + 1000 * step), changed: {}, removed: [] });
  const now = board.clock.now();
  const { since, probeAt } = board.breakers.get("open");
  return [(now - since) / 1000, (probeAt - now) / 1000, board.breakers.get("forced").probeAt, (now - start) / 1000];
}
"""


@pytest.mark.parametrize(("late", "step"), [(0, 0), (3, 0), (0, -3_600)])
def test_times_hold_when_a_message_is_late_and_when_the_servers_clock_is_put_back(
    server: Server, open_page: Callable[..., Page], late: float, step: float
) -> None:
    server.set_up("payments")
    page = open_page(server.origin)
    lasted, left, never, now = page.evaluate(_SCRIPT, {"late": late, "step": step})
    assert lasted == pytest.approx(5, abs=1)
    assert left == pytest.approx(25, abs=1)
    assert never is None
    assert now == pytest.approx(step, abs=1)
