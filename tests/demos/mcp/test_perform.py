import io
import sys
from collections import Counter
from dataclasses import replace

import pytest
from rich.console import Console

from demos.mcp import play
from demos.mcp.facts import Ask, BreakerHealth, Exchange, Kind, Report, Step
from demos.mcp.perform import conclude, perform
from demos.mcp.play import Record
from demos.mcp.script import OPEN, Phase
from demos.mcp.terminal import TerminalView

ASK = Ask("call_external_api", {"endpoint": "x"}, Kind.CACHED, "sunny")
HEALTH = {"external_api": BreakerHealth("open", 1.0)}
REPORT = Report((Exchange(ASK, (("sunny", 3),)),), HEALTH, HEALTH, Counter())


def concluded(record: Record) -> tuple[int, str]:
    output = io.StringIO()
    return conclude(record, Console(file=output)), output.getvalue()


def test_a_good_run_ends_with_zero() -> None:
    code, said = concluded(Record([(OPEN, [REPORT])], 1.5))
    assert code == 0
    assert "Open:    0 of 3 calls reached anything; 3 cached, 0 stand-ins, 0 rejected\n" in said
    assert "Waited:  1.5 s, as health said" in said
    assert said.endswith("Everything was as expected.\n")


def test_a_problem_is_told_and_is_a_failure() -> None:
    code, said = concluded(Record([(OPEN, [REPORT])], problems=["open: the [sky] fell down."]))
    assert code == 1
    assert said.endswith("\nPROBLEM: open: the [sky] fell down.\n")


def test_a_problem_is_shown_with_the_step_it_came_in() -> None:
    output = io.StringIO()
    TerminalView(Console(file=output, width=120)).report(replace(REPORT, problems=("the [sky] fell down.",)))
    assert "PROBLEM: the [sky] fell down.\n" in output.getvalue()


def test_a_run_that_saw_nothing_has_no_summary() -> None:
    assert concluded(Record(problems=["nothing"])) == (1, "PROBLEM: nothing\n")


def test_an_expectation_that_is_not_met_makes_the_command_fail(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = Phase("healthy", "all is well", (Step((ASK,), {"api": 1}),))
    monkeypatch.setattr(play, "PHASES", (wrong,))
    assert perform(plain=True) == 1
    said = capsys.readouterr().out
    assert '    PROBLEM: call_external_api answered \'{"status": "success"' in said
    assert "\nPROBLEM: healthy: call_external_api answered" in said
    assert "\nThe server's log ends with:\n" in said


def test_a_server_that_does_not_start_is_told_with_what_it_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(play, "SERVER", [sys.executable, "-c", "raise SystemExit('no [luck]')"])
    assert perform(plain=True) == 1
    said = capsys.readouterr().out
    assert "PROBLEM: The demo ended early: " in said
    assert said.endswith("The server's log ends with:\nno [luck]\n")
