import io
from collections import Counter
from collections.abc import Callable

import pytest
from rich.console import Console

from demos.mcp.facts import Ask, BreakerHealth, Exchange, Kind, Report
from demos.mcp.plain import PlainView
from demos.mcp.play import View
from demos.mcp.terminal import TerminalView

LONG = "Service [a] unavailable. " * 4
ASK = Ask("call_external_api", {"endpoint": "x"}, Kind.REJECTED, "Service")
BEFORE = {"external_api": BreakerHealth("open"), "users": BreakerHealth("closed"), "primary": BreakerHealth("open")}
AFTER = {**BEFORE, "external_api": BreakerHealth("half_open")}
REPORT = Report(
    (Exchange(ASK, note="let through, and on its way"), Exchange(ASK, ((LONG, 2), ("other", 1)))),
    BEFORE,
    AFTER,
    Counter(api=1, users=0),
    ("api", "database"),
    ("Something [else] came.",),
)


def plain(output: io.StringIO) -> View:
    return PlainView(output)


def terminal(output: io.StringIO) -> View:
    return TerminalView(Console(file=output, width=80, force_terminal=True, color_system=None, legacy_windows=False))


@pytest.mark.parametrize("make", [plain, terminal])
def test_a_report_says_everything(make: Callable[[io.StringIO], View]) -> None:
    output = io.StringIO()
    make(output).report(REPORT)
    said = " ".join(output.getvalue().split())
    for text in (
        "the service api answers 503",
        "the file of the database is corrupt",
        'call_external_api(endpoint="x")',
        LONG.strip(),
        "api 1",
        "closed users",
        "open primary",
        "PROBLEM: Something [else] came.",
    ):
        assert text in said


def test_a_plain_view_writes_a_line_for_each_thing() -> None:
    output = io.StringIO()
    plain(output).report(REPORT)
    assert f"\n    2 x rejected: {LONG}\n    1 x rejected: other\n" in output.getvalue()
    assert "\n    health: external_api open -> half_open; closed users; open primary\n" in output.getvalue()


def test_a_terminal_view_fits_into_80_columns() -> None:
    output = io.StringIO()
    terminal(output).report(REPORT)
    assert max(len(line) for line in output.getvalue().splitlines()) <= 80
    assert "…" not in output.getvalue()


def test_a_terminal_gets_its_cursor_back_after_the_wait() -> None:
    output = io.StringIO()
    with pytest.raises(KeyboardInterrupt), terminal(output).waiting(2.5, BEFORE):
        raise KeyboardInterrupt
    hide, show = "\x1b[?25l", "\x1b[?25h"
    assert "so the client waits 2.5 s" in output.getvalue()
    assert output.getvalue().rindex(show) > output.getvalue().rindex(hide)
