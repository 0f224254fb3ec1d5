import io
import re
from collections import Counter
from dataclasses import replace

import httpx
import pytest
from rich.console import Console

from recloser.cli.demo.lane import AnswerSource, Call
from recloser.cli.demo.live import LiveView
from recloser.cli.demo.plain import PlainView
from recloser.cli.demo.view import LaneStatus, lane_status, milliseconds
from tests.cli.demo.stage import FAILING, HANGING, OUTAGE, Rehearsal

pytestmark = pytest.mark.anyio

REFUSED = httpx.ConnectError("refused")


@pytest.fixture
async def rehearsal() -> Rehearsal:
    """One answer and seven failures of 0.5 s; the breaker makes of the last two one from memory and one by default."""
    rehearsal = Rehearsal(replace(OUTAGE, memory_ttl_seconds=10.0))
    rehearsal.experiment.enter(FAILING)
    for protected in (True, False):
        await rehearsal.call(protected=protected)
        for number in (1, 1, 1, 1, 1, 1, 2):
            await rehearsal.call(protected=protected, error=REFUSED, seconds=0.5, number=number)
    return rehearsal


async def test_a_standing_counts_all_calls_and_takes_the_latency_of_the_latest(rehearsal: Rehearsal) -> None:
    rehearsal.clock.advance(0.5)
    await rehearsal.call(protected=False, error=REFUSED, seconds=0.1)
    now = lane_status(rehearsal.experiment, rehearsal.experiment.bare)
    assert now == LaneStatus(
        calls=9,
        counts=Counter({AnswerSource.SERVICE: 1, AnswerSource.FAILURE: 8}),
        hits=9,
        lost_seconds=pytest.approx(3.6),
        latency_seconds=pytest.approx(0.3),
    )


async def test_a_lane_that_was_silent_for_a_second_has_no_latency(rehearsal: Rehearsal) -> None:
    now = lane_status(rehearsal.experiment, rehearsal.experiment.protected)
    assert (now.calls, now.hits, now.latency_seconds) == (8, 6, None)
    assert milliseconds(now.latency_seconds) == "-"
    assert milliseconds(0.0304) == "30 ms"


async def test_a_plain_view_writes_lines_without_any_control_sequence(rehearsal: Rehearsal) -> None:
    output = io.StringIO()
    view = PlainView(output, rehearsal.experiment)
    view.note("something [happened]")
    view.refresh()
    assert output.getvalue() == (
        "  6.0 s  something [happened]\n"
        "  6.0 s  failing, breaker open"
        " | with: 1 service, 1 memory, 1 default, 5 failed, 6 hits, -"
        " | without: 1 service, 7 failed, 8 hits, 500 ms\n"
    )


async def test_a_live_view_shows_state_sentence_figures_and_progress(rehearsal: Rehearsal) -> None:
    output = io.StringIO()
    console = Console(file=output, width=110, force_terminal=True, color_system=None, legacy_windows=False)
    with LiveView(console, rehearsal.experiment) as view:
        view.note("something [happened]")
        rehearsal.experiment.enter(HANGING)
        view.refresh()
    words = " ".join(re.sub(r"\x1b\[[?\d]*\w|[│╭╮╰╯]", " ", output.getvalue()).split())
    assert "6.0 s something [happened]" in words
    assert f"breaker OPEN upstream hanging {rehearsal.experiment.breaker.explain()}" in words
    assert "with 8 1 1 1 5 6 2.5 s - without 8 1 7 8 3.5 s 500 ms" in words


async def test_a_live_view_fits_into_80_columns(rehearsal: Rehearsal) -> None:
    lane = rehearsal.experiment.bare
    lane.counts = Counter({AnswerSource.SERVICE: 1234, AnswerSource.FAILURE: 1234})
    lane.lost_seconds = 234.5
    lane.calls = [Call(rehearsal.clock(), AnswerSource.FAILURE, 1.003)] * 2468
    rehearsal.experiment.upstream.counts[lane.name] = 2468
    output = io.StringIO()
    console = Console(file=output, width=80, force_terminal=True, color_system=None, legacy_windows=False)
    with LiveView(console, rehearsal.experiment) as view:
        view.refresh()
    assert "without 2468 1234 1234 2468 234.5 s 1003 ms" in " ".join(output.getvalue().split())
    assert "…" not in output.getvalue()


async def test_a_live_view_gives_the_cursor_back() -> None:
    output = io.StringIO()
    console = Console(file=output, force_terminal=True, legacy_windows=False)
    view = LiveView(console, Rehearsal().experiment)
    with pytest.raises(KeyboardInterrupt), view:
        raise KeyboardInterrupt
    hide, show = "\x1b[?25l", "\x1b[?25h"
    assert output.getvalue().rindex(show) > output.getvalue().rindex(hide)
