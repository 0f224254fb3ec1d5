import io
import re

import pytest
from rich.console import Console
from rich.text import Text

from recloser.cli.client.board import Board
from recloser.cli.client.formatting import time_of_day
from recloser.cli.top.screen import Screen, frame
from recloser.testing import ManualClock
from tests.cli.client.messages import CAUSE, NOON, cause, entry, overview, snapshot, transition, update

NO_ROUTE = cause(last_error="OSError: no route")


@pytest.fixture
def board(clock: ManualClock) -> Board:
    return Board(clock)


def lines_of(board: Board, width: int = 100, height: int = 24) -> list[str]:
    output = io.StringIO()
    console = Console(file=output, width=width, height=height)
    console.print(frame(board, Text("head"), ("", "state"), (width, height)))
    return [line.rstrip() for line in output.getvalue().splitlines()]


def test_a_breaker_that_is_not_closed_says_since_when_what_comes_next_and_why(board: Board, clock: ManualClock) -> None:
    board.replace(snapshot({"payments": entry("open", cause=NO_ROUTE), "search": entry(shadow={"would_reject": 0})}))
    clock.advance(3.5)
    assert lines_of(board) == [
        "head",
        "1 open  1 closed",
        "state        breaker" + "calls/s    failed/s  rejected/s".rjust(80),
        "open         payments" + "0           0           0".rjust(79),
        "  for 5 s, probe in 5 s: 5 consecutive failures (threshold 5); last error OSError: no route",
        "closed       search  shadow: rejects nothing" + "0           0           0".rjust(56),
    ]


@pytest.mark.parametrize(
    ("state", "retry_after", "said"),
    [
        ("open", 0.0, "the next call is a probe"),
        ("half_open", 0.0, "a probe decides"),
        ("forced_open", None, "rejects all calls until reset"),
        ("forced_open", 8.0, "probe in 8 s"),
        ("disabled", None, "admits all calls until reset"),
    ],
)
def test_what_comes_next_is_said_in_every_state(board: Board, state: str, retry_after: float | None, said: str) -> None:
    board.replace(snapshot({"x": entry(state, retry_after=retry_after)}))
    assert lines_of(board)[4].startswith(f"  for 2 s, {said}: {CAUSE}")


def test_rates_are_shown_once_they_are_known(board: Board, clock: ManualClock) -> None:
    board.replace(snapshot({"x": entry()}))
    assert lines_of(board)[3].split() == ["closed", "x", "-", "-", "-"]
    clock.advance(2)
    board.update(update({"x": {"success_total": 5, "failure_total": 1, "rejected_total": 3_000}}, seconds=2))
    assert lines_of(board)[3].split() == ["closed", "x", "3", "0.5", "1.5k"]


def test_a_narrow_terminal_goes_without_rates(board: Board) -> None:
    name = "a-name-that-is-far-too-long-for-this"
    board.replace(snapshot({name: entry("open", cause=NO_ROUTE)}))
    lines = lines_of(board, width=40)
    assert lines[2:] == [
        "state        breaker",
        "open         a-name-that-is-far-too-lon…",
        "  for 2 s, probe in 8 s: 5 consecutive …",
    ]


def test_what_there_is_no_space_for_is_counted(board: Board) -> None:
    board.replace(snapshot({f"b{number:04}": entry() for number in range(1_500)}))
    lines = lines_of(board, height=10)
    assert len(lines) == 10
    assert lines[-1].strip() == "and 1,494 more"


def test_the_last_breaker_takes_the_last_line(board: Board) -> None:
    board.replace(snapshot({f"b{number}": entry() for number in range(7)}))
    assert lines_of(board, height=10)[-1].split()[1] == "b6"


@pytest.mark.parametrize("height", [1, 3, 5, 8, 24])
@pytest.mark.parametrize("width", [1, 12, 71, 72, 200])
def test_no_frame_is_larger_than_its_terminal(board: Board, width: int, height: int) -> None:
    breakers = {f"größe-数-{number}": entry("open", cause=NO_ROUTE) for number in range(9)}
    transitions = [transition("数" * 50, seconds=second) for second in range(30)]
    board.replace(snapshot(breakers, transitions=transitions, fleet={"connected": False}, dropped=3))
    lines = lines_of(board, width, height)
    assert 0 < len(lines) <= height
    assert max(Text(line).cell_len for line in lines) <= width


def test_the_latest_transitions_stand_below_the_latest_first(board: Board) -> None:
    transitions = [transition(f"b{second}", "half_open", second) for second in range(20)]
    board.replace(snapshot({"x": entry()}, transitions=transitions))
    lines = lines_of(board)
    start = lines.index("Latest transitions")
    assert [line[8:].split(":")[0].strip() for line in lines[start + 1 :]] == [f"b{n}" for n in range(19, 12, -1)]
    assert lines[start + 1].endswith(f"  b19: closed -> half open: {CAUSE}")


def test_what_is_not_asked_for_is_not_shown(board: Board) -> None:
    transitions = [transition("payments", seq=1), transition("search", seq=2)]
    board.replace(snapshot({"payments": entry(), "search": entry()}, transitions=transitions))
    console = Console(file=io.StringIO(), width=100)
    console.print(frame(board, Text("head"), ("PAY", "state"), (100, 24)))
    assert isinstance(console.file, io.StringIO)
    assert "payments" in console.file.getvalue()
    assert "search" not in console.file.getvalue()


def test_the_fleet_and_updates_that_were_missed_are_shown(board: Board) -> None:
    fleet = {"connected": True, "problem": None, "probes": {"payments": "host-1\x1b"}}
    board.replace(snapshot({}, fleet=fleet, dropped=1))
    assert lines_of(board)[1:3] == ["no breakers  1 update missed", "fleet reachable; host-1\\x1b probes payments"]
    board.update(update(fleet={"connected": False, "problem": "refused"}))
    assert lines_of(board)[2] == "fleet unreachable: refused"
    board.update(update(fleet={"connected": False, "problem": None}))
    assert lines_of(board)[2] == "fleet unreachable: each process decides alone"


def test_nothing_that_is_sent_can_drive_the_terminal(board: Board) -> None:
    evil = "\x1b[2J\x9b31m\u202e[red]"
    why = cause(trigger=evil, kind=None, last_error=evil)
    changed = {**transition(evil), "old": evil, "new": evil, "cause": why}
    fleet = {"connected": False, "problem": evil, "probes": {evil: evil}}
    board.replace(snapshot({evil: entry(evil, cause=why)}, transitions=[changed], fleet=fleet))
    text = "".join(lines_of(board, width=300))
    assert text.isprintable()
    assert text.count("[red]") >= 8


def test_a_screen_shows_whether_it_is_live(board: Board) -> None:
    output = io.StringIO()
    console = Console(file=output, width=100, height=10, force_terminal=True, color_system=None, legacy_windows=False)

    def shown() -> str:
        text = output.getvalue()
        output.seek(0)
        output.truncate()
        return text

    board.replace(snapshot({"x": entry()}))
    with Screen(console, board, "http://shop.example/\x1b", text="", sort="state") as screen:
        first = shown()
        assert "http://shop.example/\\x1b  connecting" in first
        assert "\x1b[?7l" in first  # no line wraps
        screen.connected()
        screen.changed([], is_whole=True)
        assert "http://shop.example/\\x1b  live" in shown()
        screen.lost("the server\x1b is gone", board.now - 100)
        assert f"as of {time_of_day(NOON - 100)}; trying again: the server\\x1b is gone" in shown()
    assert re.search(r"\x1b\[\?7h.*\x1b\[\?1049l", shown())  # lines wrap, and the terminal's own screen is back


def test_an_old_console_of_windows_is_sent_no_sequences_that_it_would_print(board: Board) -> None:
    output = io.StringIO()
    console = Console(file=output, width=100, height=10, force_terminal=True, color_system=None)
    console.legacy_windows = True
    with Screen(console, board, "x", text="", sort="state"):
        assert "x  connecting" in output.getvalue()
    assert "\x1b[?7" not in output.getvalue()


def test_what_is_wrong_with_all_breakers_is_said_first(board: Board) -> None:
    board.replace(snapshot({"payments": entry("open")}, overview=overview()))
    assert lines_of(board)[1:4] == [
        "payments is open: no answer from db:5432 in time.",
        "Since 11:59, 1 min.",
        "mail has been forced open for 2 h, without an end, by ann",
    ]
