import io
import re

import httpx
import pytest
from rich.console import Console

from recloser.cli.demo.live import LiveView
from recloser.cli.demo.plain import PlainView
from recloser.cli.demo.view import Standing, milliseconds, standing
from tests.cli.demo.stage import FAILING, HANGING, Rehearsal

pytestmark = pytest.mark.anyio

REFUSED = httpx.ConnectError("refused")


@pytest.fixture
async def rehearsal() -> Rehearsal:
    """Six failures of 0.5 s each in both lanes; the breaker's last one was a rejection."""
    rehearsal = Rehearsal()
    rehearsal.experiment.enter(FAILING)
    for protected in (True, False):
        for _ in range(6):
            await rehearsal.call(protected=protected, error=REFUSED, seconds=0.5)
    return rehearsal


async def test_a_standing_counts_all_calls_and_takes_the_latency_of_the_latest(rehearsal: Rehearsal) -> None:
    rehearsal.clock.advance(0.5)
    await rehearsal.call(protected=False, error=REFUSED, seconds=0.1)
    now = standing(rehearsal.experiment, rehearsal.experiment.bare)
    assert now == Standing(
        calls=7,
        failures=7,
        rejections=0,
        hits=7,
        lost_seconds=pytest.approx(3.1),
        latency_seconds=pytest.approx(0.3),
    )


async def test_a_lane_that_was_silent_for_a_second_has_no_latency(rehearsal: Rehearsal) -> None:
    now = standing(rehearsal.experiment, rehearsal.experiment.protected)
    assert (now.calls, now.rejections, now.hits, now.latency_seconds) == (6, 1, 5, None)
    assert milliseconds(now.latency_seconds) == "-"
    assert milliseconds(0.0304) == "30 ms"


async def test_a_plain_view_writes_lines_without_any_control_sequence(rehearsal: Rehearsal) -> None:
    output = io.StringIO()
    view = PlainView(output, rehearsal.experiment)
    view.note("something [happened]")
    view.refresh()
    assert output.getvalue() == (
        "  5.5 s  something [happened]\n"
        "  5.5 s  failing, breaker open"
        " | with-breaker: 6 calls, 5 failed, 1 rejected, 5 hits, -"
        " | without-breaker: 6 calls, 6 failed, 0 rejected, 6 hits, 500 ms\n"
    )


async def test_a_live_view_shows_state_sentence_figures_and_progress(rehearsal: Rehearsal) -> None:
    output = io.StringIO()
    console = Console(file=output, width=110, force_terminal=True, color_system=None, legacy_windows=False)
    with LiveView(console, rehearsal.experiment) as view:
        view.note("something [happened]")
        rehearsal.experiment.enter(HANGING)
        view.refresh()
    words = " ".join(re.sub(r"\x1b\[[?\d]*\w|[│╭╮╰╯]", " ", output.getvalue()).split())
    assert "5.5 s something [happened]" in words
    assert f"breaker OPEN upstream hanging {rehearsal.experiment.breaker.explain()}" in words
    assert "with breaker 6 5 1 5 2.5 - without breaker 6 6 0 6 3.0 500 ms" in words


async def test_a_live_view_gives_the_cursor_back() -> None:
    output = io.StringIO()
    console = Console(file=output, force_terminal=True, legacy_windows=False)
    view = LiveView(console, Rehearsal().experiment)
    with pytest.raises(KeyboardInterrupt), view:
        raise KeyboardInterrupt
    hide, show = "\x1b[?25l", "\x1b[?25h"
    assert output.getvalue().rindex(show) > output.getvalue().rindex(hide)
